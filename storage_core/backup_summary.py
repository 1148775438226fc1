"""The backups at a glance: each with its manifest and the newest note of each kind of check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from storage_core.backup_errors import BackupDamaged, NoSuchBackup, UnknownFormat
from storage_core.backup_manifest import Manifest
from storage_core.backup_store import BackupStore, Note


@dataclass(frozen=True, slots=True)
class Summary:
    """A backup; `problem` says why its manifest cannot be read, where it cannot."""

    id: str
    manifest: Manifest | None
    notes: tuple[Note, ...]
    problem: str = ""

    def note(self, what: str) -> Note | None:
        """The newest note of that kind of check."""
        return next((note for note in self.notes if note.what == what), None)

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        made = self.manifest
        facts = {} if made is None else {**asdict(made), "created_at": made.created_at.isoformat()}
        if made is not None:
            facts["total_bytes"] = made.total_bytes
        notes = [{"what": note.what, "at": note.at.isoformat(), "sound": note.sound} for note in self.notes]
        return {**facts, "id": self.id, "checks": notes, "problem": self.problem}


def summaries(store: BackupStore, *, read: Callable[[str], Manifest] | None = None) -> list[Summary]:
    """All backups, the oldest first. `read` (None: the store's own) gives a manifest, which never changes.

    Raises ObjectError when the store cannot be reached.
    """
    newest: dict[str, dict[str, Note]] = {}
    for note in sorted(store.notes(), key=lambda note: note.at):
        newest.setdefault(note.backup, {})[note.what] = note
    found = []
    for name in store.ids():
        notes = tuple(note for _, note in sorted(newest.get(name, {}).items()))
        try:
            found.append(Summary(name, (read or store.manifest)(name), notes))
        except (BackupDamaged, UnknownFormat) as error:
            found.append(Summary(name, None, notes, problem=str(error)))
        except NoSuchBackup:
            continue  # pruned a moment ago
    return found
