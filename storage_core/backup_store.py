"""The place where backups are kept, a folder or S3.

objects/{2 digits}/{sha256}                       contents: result files, bars, strategies, dumps, lists of files
manifests/{id}.json                               a backup; sent last, so where there is one all is there
notes/{id}.{what}.{seconds}.{sound|damaged}.json  what a check of that backup came to
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from storage_core import backup_manifest
from storage_core.backup_errors import BackupDamaged, NoSuchBackup
from storage_core.backup_manifest import BackedUpFile, Content, Manifest
from storage_core.object_errors import ObjectDamaged, ObjectNotFound
from storage_core.object_provider import StorageProvider
from storage_core.settings import Settings

OBJECTS, MANIFESTS, NOTES = "objects", "manifests", "notes"
VERIFIED, REHEARSED = "verified", "rehearsed"
LATEST = "latest"
_OBJECT = re.compile(rf"{OBJECTS}/([0-9a-f]{{2}})/(\1[0-9a-f]{{62}})")
_NOTE = re.compile(rf"{NOTES}/([0-9TZ-]+)\.({VERIFIED}|{REHEARSED})\.([0-9]{{10,}})\.(sound|damaged)\.json")


@dataclass(frozen=True, slots=True)
class Note:
    """What a check of a backup came to; `key` is where its report lies."""

    backup: str
    what: str
    at: datetime
    sound: bool
    key: str


class BackupStore:
    """Backups at one place. Safe to share between threads."""

    def __init__(self, provider: StorageProvider) -> None:
        self.provider = provider
        self.where = provider.where

    def key(self, sha256: str) -> str:
        """Where a content lies."""
        return f"{OBJECTS}/{sha256[:2]}/{sha256}"

    def contents(self) -> Iterator[tuple[Content, datetime]]:
        """All contents that lie there, by a listing, with the time when each was sent."""
        for info in self.provider.list(f"{OBJECTS}/"):
            if found := _OBJECT.fullmatch(info.key):
                yield Content(found[2], info.size), info.modified

    def put(self, source: Path | BinaryIO, sha256: str) -> Content:
        """Store a content. Raises ObjectDamaged, and stores nothing, when it is not what its digest says."""
        sent = self.provider.upload(self.key(sha256), source, sha256=sha256)
        return Content(sent.sha256, sent.size)

    def fetch(self, content: Content, target: Path | BinaryIO) -> None:
        """Fetch a content, compared with its digest. Raises BackupDamaged."""
        key = self.key(content.sha256)
        try:
            self.provider.download(key, target, sha256=content.sha256)
        except ObjectNotFound as error:
            raise BackupDamaged(f"{self.where}/{key}", "it is gone") from error
        except ObjectDamaged as error:
            raise BackupDamaged(f"{self.where}/{key}", f"its sha256 is {error.was}") from error

    def ids(self) -> list[str]:
        """The ids of all backups, the oldest first."""
        names = (info.key.removeprefix(f"{MANIFESTS}/") for info in self.provider.list(f"{MANIFESTS}/"))
        return sorted(name.removesuffix(".json") for name in names if backup_manifest.is_id(name.removesuffix(".json")))

    def find(self, name: str) -> str:
        """The id that `name` means: itself, its beginning when only one begins so, or latest. Raises NoSuchBackup."""
        known = self.ids()
        found = known[-1:] if name == LATEST else [one for one in known if one == name]
        found = found or [one for one in known if name and one.startswith(name)]
        if len(found) != 1:
            raise NoSuchBackup(self.where, name, known)
        return found[0]

    def manifest(self, backup: str) -> Manifest:
        """The manifest of a backup. Raises NoSuchBackup, BackupDamaged and UnknownFormat."""
        key, target = self._manifest_key(backup), io.BytesIO()
        try:
            self.provider.download(key, target)
        except ObjectNotFound as error:
            raise NoSuchBackup(self.where, backup, self.ids()) from error
        found = backup_manifest.parse(target.getvalue(), f"{self.where}/{key}")
        if found.id != backup:
            raise BackupDamaged(f"{self.where}/{key}", f"it is the manifest of {found.id}")
        return found

    def files(self, manifest: Manifest) -> Iterator[BackedUpFile]:
        """The files of a backup, in the order of their paths. Raises BackupDamaged before the first of them."""
        with TemporaryFile() as copy:
            self.fetch(manifest.files, copy)
            copy.seek(0)
            yield from backup_manifest.read_list(copy, f"{self.where}/{self.key(manifest.files.sha256)}")

    def commit(self, manifest: Manifest) -> None:
        """Make the backup one: everything that it names must be there already."""
        self.provider.upload(self._manifest_key(manifest.id), io.BytesIO(backup_manifest.dump(manifest)))

    def forget(self, backup: str) -> None:
        """Remove the manifest, then the notes; the contents stay until a prune finds that nobody names them."""
        self.provider.delete(self._manifest_key(backup))
        for note in list(self.notes(backup)):
            self.provider.delete(note.key)

    def note(self, backup: str, what: str, *, at: datetime, sound: bool, report: Mapping[str, Any]) -> None:
        """Keep what a check came to beside the backup, whatever becomes of the database."""
        word = "sound" if sound else "damaged"
        key = f"{NOTES}/{backup}.{what}.{int(at.timestamp()):010d}.{word}.json"
        self.provider.upload(key, io.BytesIO(json.dumps(report, indent=1, ensure_ascii=False).encode()))

    def notes(self, backup: str = "") -> Iterator[Note]:
        """The notes of one backup, or of all, by one listing."""
        for info in self.provider.list(f"{NOTES}/{backup}"):
            if (found := _NOTE.fullmatch(info.key)) and backup in ("", found[1]):
                at = datetime.fromtimestamp(int(found[3]), UTC)
                yield Note(found[1], found[2], at, found[4] == "sound", info.key)

    def _manifest_key(self, backup: str) -> str:
        return f"{MANIFESTS}/{backup}.json"


def backup_store(settings: Settings) -> BackupStore:
    """Where these settings keep backups."""
    from storage_core.object_store import provider_for

    return BackupStore(provider_for(settings.backups_uri, settings))
