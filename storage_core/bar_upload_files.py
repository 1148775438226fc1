"""Files of bars that people send, kept for a day while they say what is in them.

uploads/{upload_id}.data    the file as it was sent
uploads/{upload_id}.json    what it was called, by whom and when it was sent; written last, and without it there is none

They lie where results lie: in a folder of this machine or in S3, where every web server finds what another one took.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from storage_core.bar_upload_errors import BadUpload, UploadGone
from storage_core.db import utc_now
from storage_core.files import disk_problems
from storage_core.object_cache import FileCache
from storage_core.object_errors import ObjectNotFound
from storage_core.object_provider import StorageProvider
from storage_core.object_store import provider_for
from storage_core.settings import Settings

LARGEST = 200_000_000
KEPT = timedelta(days=1)
LONGEST_NAME = 120
PREFIX = "uploads"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it was sent: what it was called, by whom, and when (UTC, as text)."""

    upload_id: str
    name: str
    owner_id: int | None
    size: int
    sha256: str
    sent_at: str


@contextmanager
def received(settings: Settings, pieces: Iterable[bytes]) -> Iterator[Path]:
    """What is being sent as a file of this machine, there until the block ends.

    Raises BadUpload when it is empty or larger than LARGEST, and DiskProblem.
    """
    path, size = _scratch(settings) / f"{uuid4()}.part", 0
    try:
        with disk_problems(path), path.open("wb") as file:
            for piece in pieces:
                size += len(piece)
                if size > LARGEST:
                    raise BadUpload(f"the file is larger than {LARGEST // 1_000_000} MB; send it in parts")
                file.write(piece)
        if not size:
            raise BadUpload("the file is empty")
        yield path
    finally:
        path.unlink(missing_ok=True)


def keep(settings: Settings, path: Path, *, name: str, owner_id: int | None, now: datetime | None = None) -> Upload:
    """Keep a received file where every web server finds it. Raises DiskProblem and, with S3, ObjectError."""
    upload_id, store = str(uuid4()), _store(settings)
    sent = store.upload(_key(upload_id, "data"), path)
    name = "".join(char for char in name if char.isprintable())[-LONGEST_NAME:] or "file"
    made = Upload(upload_id, name, owner_id, sent.size, sent.sha256, (now or utc_now()).isoformat())
    store.upload(_key(upload_id, "json"), io.BytesIO(json.dumps(asdict(made)).encode()))
    return made


def find(settings: Settings, upload_id: UUID, *, owner_id: int | None) -> Upload:
    """A kept file of that person. Raises UploadGone, also when it is somebody else's or too old, and ObjectError."""
    facts = io.BytesIO()
    try:
        _store(settings).download(_key(upload_id, "json"), facts)
        found = Upload(**json.loads(facts.getvalue()))
    except (ObjectNotFound, ValueError, TypeError):  # not there, damaged, or kept by another release
        raise UploadGone(str(upload_id)) from None
    if found.owner_id != owner_id or datetime.fromisoformat(found.sent_at) < utc_now() - KEPT:
        raise UploadGone(str(upload_id))
    return found


@contextmanager
def opened(settings: Settings, upload: Upload) -> Iterator[Path]:
    """The file itself on this machine, there until the block ends. Raises UploadGone, DiskProblem and ObjectError."""
    key = _key(upload.upload_id, "data")
    if settings.results_bucket is None:
        with _linked(settings, upload.upload_id) as path:
            yield path
        return
    store = _store(settings)

    def fetch(path: Path) -> None:
        store.download(key, path, sha256=upload.sha256)

    try:
        with _cache(settings).held(upload.sha256, Path(key).name, upload.size, fetch) as path:
            yield path
    except (ObjectNotFound, FileNotFoundError):
        raise UploadGone(upload.upload_id) from None


@contextmanager
def _linked(settings: Settings, upload_id: str) -> Iterator[Path]:
    """The file under a name of its own, so that it stays whole when another request forgets it."""
    path = _scratch(settings) / f"{uuid4()}.part"
    with disk_problems(path):
        try:
            os.link(settings.data_dir / _key(upload_id, "data"), path)
        except FileNotFoundError:
            raise UploadGone(upload_id) from None
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def drop(settings: Settings, upload: Upload) -> None:
    """Forget a file; one that is gone is no error."""
    for ending in ("json", "data"):
        _store(settings).delete(_key(upload.upload_id, ending))
    _cache(settings).drop(upload.sha256, f"{upload.upload_id}.data")


def tidy(settings: Settings, *, now: datetime | None = None) -> int:
    """Remove what was sent more than a day ago, from the store and from this machine; how many files were too old."""
    before = (now or utc_now()) - KEPT
    store = _store(settings)
    old = [info.key for info in store.list(f"{PREFIX}/") if info.modified < before]
    for key in old:
        store.delete(key)
    if settings.results_bucket is None:  # in S3, `reconcile` does that for everything
        store.remove_unfinished(before=before)
    _tidy_here(settings, before)
    return len(old)


def _tidy_here(settings: Settings, before: datetime) -> None:
    """Files of requests that were killed, and copies of what lies in S3."""
    folder = settings.data_dir / "receiving"
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            if path.stat().st_mtime < before.timestamp():
                path.unlink()
        except FileNotFoundError:
            continue  # somebody else tidies too
    _cache(settings).drop_unused(before=before)


def _scratch(settings: Settings) -> Path:
    """Where files are received; what was left there by killed requests goes first."""
    folder = settings.data_dir / "receiving"
    with disk_problems(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _tidy_here(settings, utc_now() - KEPT)
    return folder


def _store(settings: Settings) -> StorageProvider:
    return provider_for(settings.results_bucket or str(settings.data_dir), settings)


def _cache(settings: Settings) -> FileCache:
    return FileCache(settings.data_dir / "cache" / PREFIX, limit=2 * LARGEST)


def _key(upload_id: UUID | str, ending: str) -> str:
    return f"{PREFIX}/{upload_id}.{ending}"
