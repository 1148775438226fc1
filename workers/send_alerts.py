"""Sending alerts through apprise: one message to each channel with all that it is owed, outside of any transaction.

What a channel does not take is owed still and tried again with growing pauses; that it fails is itself an alert, which
the other channels hear. A message is noted after it was taken, so a crash in between sends it twice, never not at all.
"""

import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog
from sqlalchemy import Engine

from storage_core.alert_channels import Channel, channels, without_secrets
from storage_core.alert_telling import Owed, drop_removed, note_refused, note_taken, owed, rests
from storage_core.db import session_scope, utc_now
from storage_core.settings import Settings

log = structlog.get_logger("alerts")

MOST_LINES, LONGEST_LINE = 20, 400


@dataclass(frozen=True, slots=True)
class Note:
    """A message as people get it."""

    title: str
    body: str
    tone: Literal["failure", "success", "info"]


Deliver = Callable[[str, Note], str | None]


def send_owed(engine: Engine, settings: Settings, *, deliver: Deliver | None = None) -> int:
    """Send each channel what it is owed; how many channels took something. Channels that rest are passed over."""
    known = channels(settings.alert_urls)
    with session_scope(engine) as session:
        drop_removed(session, known)
        waiting = [(channel, owed(session, channel)) for channel in known if not rests(session, channel)]
    return sum(
        _send(engine, channel, messages, deliver or through_apprise) for channel, messages in waiting if messages
    )


def _send(engine: Engine, channel: Channel, messages: Sequence[Owed], deliver: Deliver) -> bool:
    why = deliver(channel.url, written(messages))
    with session_scope(engine) as session:
        if why is None:
            note_taken(session, channel, messages)
        else:
            note_refused(session, channel, messages, why=why)
    if why is None:
        log.info("alerts told", channel=channel.name, count=len(messages))
    else:
        log.error("a channel does not take alerts", channel=channel.name, reason=why)
    return why is None


def written(messages: Sequence[Owed], *, now: datetime | None = None) -> Note:
    """All of it as one message: what is new first, then what is over."""
    opened = [one for one in messages if one.state == "open"]
    over = [one for one in messages if one.state == "resolved"]
    if all(one.kind == "test" for one in messages):
        title, tone = "coin-hts: test message", "info"
    else:
        counts = [f"{len(opened)} alert{'s' * (len(opened) > 1)}"] * bool(opened) + [f"{len(over)} resolved"] * bool(
            over
        )
        title, tone = f"coin-hts: {', '.join(counts)}", "failure" if opened else "success"
    lines = [_line(one) for one in (*opened, *over)]
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], f"... and {len(lines) - MOST_LINES} more: see Operations, Alerts"]
    foot = f"{socket.gethostname()}, {now or utc_now():%Y-%m-%d %H:%M} UTC"
    return Note(title, "\n".join([*lines, "", foot]), tone)  # type: ignore[arg-type]  # a tuple forgets the literal


def _line(one: Owed) -> str:
    text = " ".join(one.message.split())[:LONGEST_LINE]
    if one.state == "open":
        return text if one.kind == "test" else f"ALERT: {text}"
    minutes = 0 if one.over_at is None else round((one.over_at - one.first_at).total_seconds() / 60)
    return f"RESOLVED after {minutes} min: {text}"


def through_apprise(url: str, note: Note) -> str | None:
    """Hand `note` to the channel at `url` within seconds; None when it was taken, else why not, without secrets."""
    import apprise  # 24 MB, and most installations have no channel

    target = apprise.Apprise.instantiate(url)
    if target is None:
        return "this is not an address that apprise knows"
    with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as said:  # type: ignore[no-untyped-call]
        try:
            taken = target.notify(title=note.title, body=note.body, notify_type=note.tone, body_format="text")
        except (OSError, ValueError) as error:
            return without_secrets(f"{type(error).__name__}: {error}", url)
        words = said.getvalue().strip()
    return None if taken else without_secrets(words.splitlines()[-1] if words else "it was refused", url)
