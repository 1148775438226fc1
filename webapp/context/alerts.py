"""What the page of alerts shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from storage_core.alert_channels import Channel
from storage_core.alert_telling import key_of
from storage_core.models import Alert


class AlertLine(TypedDict):
    """One alert, open or past. `task_id`: the backtest that it is about, to be linked."""

    id: int
    kind: str
    message: str
    task_id: UUID | None
    first_at: datetime
    over_at: datetime | None
    seconds: float
    count: int
    told: str
    error: str


class ChannelLine(TypedDict):
    """One channel, its secrets masked. `error` is why it takes no messages now."""

    name: str
    error: str


def ctx_alert(alert: Alert, channels: Sequence[Channel], now: datetime) -> AlertLine:
    """An alert as a line of the table."""
    task_id = alert.detail.get("task_id")
    heard = sum(channel.id in alert.told for channel in channels)
    over = alert.resolved_at or now
    return {
        "id": alert.id,
        "kind": alert.kind,
        "message": alert.message,
        "task_id": UUID(task_id) if task_id else None,
        "first_at": alert.first_at,
        "over_at": alert.resolved_at,
        "seconds": (over - alert.first_at).total_seconds(),
        "count": alert.count,
        "told": f"{heard}/{len(channels)}" if channels else "",
        "error": alert.send_error or "",
    }


def reason(failing: Alert) -> str:
    """Why a channel takes no messages, without its name."""
    return str(failing.detail.get("why") or failing.message)


def ctx_channels(channels: Sequence[Channel], open_alerts: Sequence[Alert]) -> list[ChannelLine]:
    """The channels, each with what is wrong with it."""
    failing: Mapping[str, str] = {one.key: reason(one) for one in open_alerts if one.kind == "channel"}
    return [{"name": channel.name, "error": failing.get(key_of(channel), "")} for channel in channels]


class TriedLine(TypedDict):
    """What one channel did with a test message: taken, refused with a reason, or not yet known."""

    name: str
    taken: bool
    error: str


class Tried(TypedDict):
    """A test message on its way. `waiting`: some channel has not answered."""

    id: int
    waiting: bool
    late: bool
    lines: list[TriedLine]


def ctx_test(alert: Alert, channels: Sequence[Channel], *, late: bool, failing: Mapping[str, str]) -> Tried:
    """How far a test message is; `failing` says by channel id why it took nothing since the message was asked for."""
    lines: list[TriedLine] = []
    for one in channels:
        taken = one.id in alert.told
        lines.append({"name": one.name, "taken": taken, "error": "" if taken else failing.get(one.id, "")})
    waiting = any(not line["taken"] and not line["error"] for line in lines)
    return {"id": alert.id, "waiting": waiting and not late, "late": waiting and late, "lines": lines}
