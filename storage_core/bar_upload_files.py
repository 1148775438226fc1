"""Files of bars that people send, kept for a day while they say what is in them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID, uuid4

from storage_core.bar_upload_errors import BadUpload, UploadGone
from storage_core.files import disk_problems, write_bytes
from storage_core.settings import Settings

LARGEST = 200_000_000
KEPT_SECONDS = 86_400
LONGEST_NAME = 120


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it was sent, what it was called, and by whom."""

    upload_id: str
    path: Path
    name: str
    owner_id: int | None
    size: int


def keep(settings: Settings, pieces: Iterable[bytes], *, name: str, owner_id: int | None) -> Upload:
    """Write what was sent to the disk, piece by piece. Raises BadUpload when it is empty or larger than LARGEST."""
    folder = _folder(settings)
    tidy(settings)
    upload_id = str(uuid4())
    path, size = folder / f"{upload_id}.part", 0
    try:
        with disk_problems(path), path.open("wb") as file:
            for piece in pieces:
                size += len(piece)
                if size > LARGEST:
                    raise BadUpload(f"the file is larger than {LARGEST // 1_000_000} MB; send it in parts")
                file.write(piece)
        if not size:
            raise BadUpload("the file is empty")
        name = "".join(char for char in name if char.isprintable())[-LONGEST_NAME:] or "file"
        made = Upload(upload_id, folder / f"{upload_id}.data", name, owner_id, size)
        write_bytes(folder / f"{upload_id}.json", json.dumps({**asdict(made), "path": ""}).encode())
        path.replace(made.path)
    finally:
        path.unlink(missing_ok=True)
    return made


def find(settings: Settings, upload_id: UUID, *, owner_id: int | None) -> Upload:
    """A kept file of that person. Raises UploadGone, also when it is somebody else's."""
    folder = _folder(settings)
    try:
        facts = json.loads((folder / f"{upload_id}.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        raise UploadGone(str(upload_id)) from None
    found = Upload(**{**facts, "path": folder / f"{upload_id}.data"})
    if found.owner_id != owner_id or not found.path.is_file():
        raise UploadGone(str(upload_id))
    return found


def drop(settings: Settings, upload_id: UUID | str) -> None:
    """Forget a file; one that is gone is no error."""
    for ending in ("data", "json"):
        (_folder(settings) / f"{upload_id}.{ending}").unlink(missing_ok=True)


def tidy(settings: Settings) -> None:
    """Remove what has lain about for a day, and what was never sent to its end."""
    for path in _folder(settings).iterdir():
        try:
            if path.stat().st_mtime < time.time() - KEPT_SECONDS:
                path.unlink()
        except FileNotFoundError:
            continue  # somebody else tidies too


def _folder(settings: Settings) -> Path:
    folder = settings.data_dir / "uploads"
    with disk_problems(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder
