"""Names that people give to what they keep: presets, schedules, views."""

from __future__ import annotations

import unicodedata

from storage_core.errors import StorageError

LONGEST_NAME = 80
ALLOWED = f"1 to {LONGEST_NAME} letters, digits, spaces or signs, on one line"


class BadName(StorageError):
    """A name that cannot be kept or shown."""

    permanent = True

    def __init__(self, was: str) -> None:
        self.field, self.was, self.allowed = "name", was, ALLOWED
        super().__init__(f"the name was {was}; allowed: {ALLOWED}")


def checked_name(text: str) -> str:
    """`text` without space around it and with its characters composed, so that equal-looking names are equal.

    Raises BadName when nothing is left, when it is too long, or when it holds what no line of text shows: control
    characters, invisible ones, marks that turn the direction of writing.
    """
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not name:
        raise BadName("empty")
    if len(name) > LONGEST_NAME:
        raise BadName(f"{len(name)} characters long")
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for character in name):
        raise BadName(ascii(name)[:100])
    return name
