"""Where alerts are sent: the addresses of ALERT_URLS, read and checked, and shown without their secrets."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from storage_core.errors import SettingsError

NAMED_HOSTS = frozenset(
    {"form", "forms", "gotify", "gotifys", "json", "jsons", "mailto", "mailtos", "matrix", "matrixs", "mmost", "mmosts",
     "ntfy", "ntfys", "rocket", "rockets", "syslog", "xml", "xmls"}
)  # fmt: skip
"""Kinds of address whose host is a machine. In most others a secret stands in its place."""
_BEFORE_NEXT = re.compile(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\x00-\x1f]+")


@dataclass(frozen=True, slots=True)
class Channel:
    """One address. `id` stays the same as long as the address does; `name` can be shown to people."""

    id: str
    name: str
    url: str = field(repr=False)


def alert_urls(value: str) -> tuple[str, ...]:
    """The addresses in `value`, apart by spaces, lines or commas (a comma inside of an address stays).

    Raises SettingsError, without the value: addresses hold passwords and tokens.
    """
    urls = tuple(dict.fromkeys(part.strip(" ,") for part in _BEFORE_NEXT.split(value.strip()) if part.strip(" ,")))
    for number, url in enumerate(urls, 1):
        if not _ADDRESS.fullmatch(url):
            raise SettingsError(
                "ALERT_URLS",
                f"an address that cannot be read, number {number} (not shown: it may hold a password)",
                "addresses such as mailto://… or json://host/path, apart by spaces or commas",
            )
    return urls


def channels(urls: Sequence[str]) -> list[Channel]:
    """A channel for each address, in their order."""
    return [Channel(hashlib.sha256(url.encode()).hexdigest()[:12], masked(url), url) for url in urls]


def masked(url: str) -> str:
    """What may be shown of an address: its kind, and its machine where the place of the host holds one."""
    kind, _, rest = url.partition("://")
    kind = kind.lower()
    if kind not in NAMED_HOSTS:
        return f"{kind}://…"
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return f"{kind}://…"
    shown = f"{host}:{port}" if port else host
    return f"{kind}://{'…@' if parts.username else ''}{shown}{'/…' if parts.path.strip('/') or parts.query else ''}"


def without_secrets(text: str, url: str) -> str:
    """`text`, such as an error, without any part of the address that could be a secret."""
    _, _, rest = url.partition("://")
    parts = sorted({part for part in re.split(r"[/?&=@:,]+", rest) if len(part) > 5}, key=len, reverse=True)
    host = masked(url)
    for part in parts:
        if part not in host:
            text = text.replace(part, "…")
    return text
