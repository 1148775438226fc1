"""Names that people give to what they keep (presets, schedules, views), and texts as every database takes them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from storage_core.errors import StorageError

LONGEST_NAME = 80
_HALVES = re.compile("[\ud800-\udfff]")
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


def storable_text(text: str, longest: int) -> str:
    """`text` as every database takes it, at most `longest` characters.

    Zero bytes are left out; halves of surrogate pairs, which stand in Python for what is not UTF-8 (in the name of a
    file, say), become U+FFFD.
    """
    return _HALVES.sub("\N{REPLACEMENT CHARACTER}", text.replace("\x00", ""))[:longest]


def storable_json(document: Any, longest: int) -> Any:
    """The same of every text in a JSON document, those that are keys too."""
    if isinstance(document, str):
        return storable_text(document, longest)
    if isinstance(document, Mapping):
        return {storable_json(name, longest): storable_json(value, longest) for name, value in document.items()}
    if isinstance(document, list | tuple):
        return [storable_json(value, longest) for value in document]
    return document
