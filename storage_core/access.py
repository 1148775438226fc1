"""Who may do what: the one place that decides. Pure rules; whoever asks brings the person and the thing."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final

from storage_core.errors import SettingsError

AUTH_MODES: Final = ("password", "none")

MAY: Final[Mapping[str, frozenset[str]]] = {
    "viewer": frozenset({"look"}),
    "trader": frozenset({"look", "run"}),
    "admin": frozenset({"look", "run", "administer"}),
}
"""What each role may do: look at what it sees, run and change what it owns, look after everything."""


def may(role: str, what: str) -> bool:
    """Whether people of this role may `look`, `run` or `administer`."""
    return what in MAY.get(role, frozenset())


def sees(user_id: int, role: str, *, owner_id: int | None, shared: bool) -> bool:
    """Whether this person sees a backtest: their own, what is shared, what is nobody's; an admin sees all."""
    return may(role, "administer") or shared or owner_id is None or owner_id == user_id


def changes(user_id: int, role: str, *, owner_id: int | None) -> bool:
    """Whether this person may note, tag, share, cancel or delete it: their own unless a viewer; an admin all."""
    return may(role, "administer") or (may(role, "run") and owner_id == user_id)


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine itself."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def auth_mode(value: str, *, host: str, proxies: str) -> str:
    """The setting AUTH. Without log-in nobody but this machine may reach the server. Raises SettingsError."""
    if value not in AUTH_MODES:
        raise SettingsError("AUTH", repr(value[:40]), " or ".join(AUTH_MODES))
    if value == "none" and not is_loopback(host):
        raise SettingsError("AUTH", f"none with HOST={host}", "none only with HOST=127.0.0.1, ::1 or localhost")
    if value == "none" and proxies != "0":
        raise SettingsError("AUTH", f"none with TRUSTED_PROXIES={proxies[:10]}", "none only without a proxy")
    return value
