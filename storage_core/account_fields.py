"""What the fields of an account may hold. Each function gives the cleaned value or raises AccountError."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

from storage_core.errors import AccountError
from storage_core.models import LANGUAGES, ROLES, THEMES

SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,79}")


def checked_name(name: str) -> str:
    """A name in lower case."""
    cleaned = possible_name(name)
    if cleaned is None:
        raise AccountError(
            "name", repr(name[:100]), "1 to 80 letters, digits, or . _ @ + -, starting with a letter or digit"
        )
    return cleaned


def possible_name(name: str) -> str | None:
    """The name in lower case when an account can have it: databases choke on some of what browsers send."""
    cleaned = name.strip().lower()
    return cleaned if _NAME.fullmatch(cleaned) else None


def checked_password(password: str, name: str = "") -> str:
    """A password of 8 to 1024 characters that is not the name of its account."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise AccountError("password", f"{len(password)} characters long", f"{SHORTEST_PASSWORD} to {LONGEST_PASSWORD}")
    if len(set(password)) == 1 or (name and password.lower() == name.lower()):
        raise AccountError("password", "the name, or one character again and again", "something harder to guess")
    return password


def checked_role(role: str) -> str:
    """A role there is."""
    return _one_of("role", role, ROLES)


def checked_timezone(timezone: str) -> str:
    """A time zone that this machine knows."""
    try:
        return ZoneInfo(timezone).key
    except (KeyError, ValueError, OSError):
        raise AccountError("timezone", repr(timezone[:60]), "a name such as UTC, Asia/Seoul or Europe/Berlin") from None


def checked_theme(theme: str) -> str:
    """A theme there is."""
    return _one_of("theme", theme, THEMES)


def checked_language(language: str) -> str:
    """A language of the pages; empty = what the browser asks for."""
    return _one_of("language", language, LANGUAGES)


def _one_of(field: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise AccountError(field, repr(value[:20]), ", ".join(one for one in allowed if one))
    return value
