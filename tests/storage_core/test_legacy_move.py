"""Files that are moved to backups on another file system: whole there before they go here."""

import errno
import os
import shutil
import threading
from pathlib import Path

import pytest

from storage_core import legacy_move

NAMES = ("tasks/one/result.json", "tasks/ONE/result.json", "tasks/One/result.json")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Three of one name, below `source`; nothing can be linked."""

    def link(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "link", link)
    made = {name: f'{{"number": {number}}}'.encode() for number, name in enumerate(NAMES)}
    for name, content in made.items():
        (tmp_path / "source" / name).parent.mkdir(parents=True)
        (tmp_path / "source" / name).write_bytes(content)
    return made


def test_files_of_one_name_that_are_copied_at_once_all_arrive(
    tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, together = shutil.copy2, threading.Barrier(len(files))
    first = threading.local()

    def copied(source: Path, target: Path) -> None:
        copy(source, target)
        if not hasattr(first, "done"):
            first.done = True
            together.wait(60)

    monkeypatch.setattr(shutil, "copy2", copied)
    legacy_move.move(tmp_path / "source", [(name, "one") for name in files], tmp_path / "backups")
    kept = [path.read_bytes() for path in (tmp_path / "backups" / "one").iterdir()]
    assert sorted(kept) == sorted(files.values())
    assert not [path for path in (tmp_path / "source").rglob("*") if path.is_file()]
