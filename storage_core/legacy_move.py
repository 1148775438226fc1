"""Moving migrated files to the backups, so that at every instant each is whole in at least one of the two places.

First every file gets its second name (a hard link; across file systems a copy that is flushed and compared), then the
backup folders are flushed, and only then the first names go, those of manifests before those of results: a result is
whole without its manifest. Broken off anywhere, it is simply done again.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path

from storage_core.errors import DiskProblem
from storage_core.files import disk_problems, fsync_dir, fsync_file, sha256_file
from storage_core.legacy_errors import CannotMove
from storage_core.legacy_find import MANIFEST

_AT_ONCE = 8
_naming = threading.Lock()
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}


def check_movable(source: Path, backup_dir: Path, layouts: Sequence[str]) -> None:
    """Raise CannotMove when files cannot be taken out of the source or put in the backups."""
    for folder in (source / layout for layout in layouts):
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            raise CannotMove(folder, "the source folder")
    nearest = next(folder for folder in (backup_dir, *backup_dir.parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise CannotMove(nearest, "the backup folder")


def move(source: Path, paths: Iterable[tuple[str, str]], backup_dir: Path) -> None:
    """Move the files `(path in the source, folder in the backups)`; empty task folders go with them.

    Raises DiskProblem; after that, and after a crash, every file is in the source, in the backups, or in both.
    """
    moves = list(paths)
    if not moves:
        return
    backups = {backup_dir / folder for _, folder in moves}
    with ThreadPoolExecutor(_AT_ONCE) as threads:  # each step waits for the disk, and together they wait once
        list(threads.map(_make_folder, backups))
        list(threads.map(lambda move: _keep(source / move[0], backup_dir / move[1]), moves))
        list(threads.map(_flush_folder, backups))
        _flush_folder(backup_dir)
        manifests = {path for path, _ in moves if path.endswith(f"/{MANIFEST}")}
        for some in (manifests, {path for path, _ in moves} - manifests):
            list(threads.map(lambda path: _forget(source, path), some))


def _make_folder(folder: Path) -> None:
    with disk_problems(folder):
        folder.mkdir(parents=True, exist_ok=True)


def _flush_folder(folder: Path) -> None:
    with disk_problems(folder):
        fsync_dir(folder)


def _forget(source: Path, path: str) -> None:
    """Remove the first name of a file, and the folder of its task when nothing else is in it."""
    with disk_problems(source / path):
        (source / path).unlink(missing_ok=True)
    if path.count("/") > 1:
        with suppress(OSError):  # other files of the task stay, and so does its folder
            (source / path).parent.rmdir()


def _keep(path: Path, folder: Path) -> None:
    """Give the file a place in `folder`: its name, or with a number when another content has that."""
    with disk_problems(folder / path.name):
        for number in count(1):
            if _placed(path, folder / (path.name if number == 1 else f"{path.stem}.{number}{path.suffix}")):
                return


def _placed(path: Path, target: Path) -> bool:
    """Put the file there; False when another content is there already."""
    try:
        os.link(path, target, follow_symlinks=False)
    except FileExistsError:
        return target.samefile(path) or _same_content(path, target)
    except FileNotFoundError:
        return target.exists()  # somebody else moved it
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _copied(path, target)
    return True


def _copied(path: Path, target: Path) -> bool:
    if target.exists():
        return _same_content(path, target)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        shutil.copy2(path, temporary)
        fsync_file(temporary)
        if not _same_content(path, temporary):
            raise DiskProblem(temporary, f"the copy is not equal to {path}")
        with _naming:  # two files of one task may ask for the same name at once
            if target.exists():
                return _same_content(path, target)
            temporary.rename(target)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _same_content(path: Path, other: Path) -> bool:
    return path.stat().st_size == other.stat().st_size and sha256_file(path) == sha256_file(other)
