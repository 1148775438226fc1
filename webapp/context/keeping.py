"""What people keep beside a result: its note and tags, as shown and as typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from storage_core.models import Backtest


class Note(TypedDict):
    """The note and tags; `editing` shows the form, with what was typed and what was wrong."""

    text: str
    tags: Sequence[str]
    editing: bool
    typed_tags: str
    errors: Mapping[str, str]


def ctx_note(
    backtest: Backtest,
    *,
    editing: bool = False,
    typed: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
) -> Note:
    """The panel; `typed` (note, tags) stands in the fields instead of what is stored."""
    typed = typed or {}
    return {
        "text": typed.get("note", backtest.note),
        "tags": backtest.tags,
        "editing": editing or bool(errors),
        "typed_tags": typed.get("tags", ", ".join(backtest.tags)),
        "errors": errors or {},
    }


def split_tags(text: str) -> list[str]:
    """Tags as people type them, with commas between; empty ones are nothing."""
    return [tag.strip() for tag in text.split(",") if tag.strip()]
