"""Finding legacy results in a folder: both layouts, in a fixed order, without opening any of them.

tasks/{task_id}/result.json and manifest.json; results/{run_id}.json and results/index.json. The index repeats whole
results; it is only asked which runs there should be, and read in pieces, as it can be larger than memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from storage_core.legacy_errors import BadLegacyFile, NotLegacy

TASKS, RESULTS = "tasks", "results"
RESULT, MANIFEST, INDEX = "result.json", "manifest.json", "index.json"
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_RUN_ID = re.compile(rb'"run_id"\s*:\s*"([^"\\]{1,200})"')
_CHUNK, _OVERLAP = 2**20, 300


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a result: its file, its manifest where there is one; paths relative to the source."""

    result: str | None
    manifest: str | None = None

    @property
    def path(self) -> str:
        """The path that stands for this copy in a report."""
        return self.result or self.manifest or ""

    @property
    def layout(self) -> str:
        """`tasks` or `results`."""
        return self.path.partition("/")[0]

    @property
    def files(self) -> list[str]:
        """Its files, the manifest first: what is left of a move that was broken off is still a whole result."""
        return [path for path in (self.manifest, self.result) if path]


@dataclass(frozen=True, slots=True)
class Unit:
    """All copies of one result; or, with a `problem`, something that cannot be one."""

    task_id: UUID | None
    copies: Sequence[Copy] = ()
    path: str = ""
    problem: BadLegacyFile | None = None


def find(source: Path) -> list[Unit]:
    """Everything in `source` that is or should be a result, sorted. Raises NotLegacy."""
    check_source(source)
    return _find(source)


def check_source(source: Path) -> None:
    """Raise NotLegacy unless `source` is a folder with at least one of the two layouts."""
    if not source.is_dir():
        raise NotLegacy(source, "is not a folder" if source.exists() else "does not exist")
    if not any((source / layout).is_dir() for layout in (TASKS, RESULTS)):
        raise NotLegacy(source, f"holds neither {TASKS}/ nor {RESULTS}/: it is not a folder of legacy results")


def _find(source: Path) -> list[Unit]:
    copies: dict[UUID, list[Copy]] = {}
    problems: list[Unit] = []
    for layout, look in ((TASKS, _look_at_task), (RESULTS, _look_at_result)):
        for entry in _entries(source / layout, problems):
            try:
                found = look(entry, f"{layout}/{entry.name}")
            except BadLegacyFile as problem:
                problems.append(Unit(None, path=f"{layout}/{entry.name}", problem=problem))
            else:
                if found is not None:
                    copies.setdefault(found[0], []).append(found[1])
    units = [Unit(task_id, tuple(found), found[0].path) for task_id, found in copies.items()]
    return sorted([*units, *problems], key=lambda unit: unit.path)


def indexed(source: Path) -> Iterator[UUID]:
    """The ids that results/index.json names, in its order; none when there is no index. Reads it in pieces."""
    path = source / RESULTS / INDEX
    try:
        with path.open("rb") as file:
            rest = b""
            while chunk := file.read(_CHUNK):
                text, end = rest + chunk, 0
                for found in _RUN_ID.finditer(text):
                    end = found.end()
                    name = found[1].decode("ascii", errors="replace")
                    if _UUID.fullmatch(name):
                        yield UUID(name)
                rest = text[max(end, len(text) - _OVERLAP) :]
    except FileNotFoundError:
        return
    except OSError as error:
        raise NotLegacy(path, f"cannot be read: {error.strerror}") from error


def missing_from(source: Path, units: Iterable[Unit]) -> list[UUID]:
    """Ids that the index names and that no file has."""
    known = {unit.task_id for unit in units}
    return sorted(set(indexed(source)) - known)


def _entries(folder: Path, problems: list[Unit]) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        reason = "is not a folder" if folder.exists() else f"cannot be read: {error.strerror}"
        problems.append(Unit(None, path=folder.name, problem=BadLegacyFile("unreadable", "", reason)))
        return []


def _look_at_task(entry: Path, path: str) -> tuple[UUID, Copy] | None:
    if entry.is_symlink():
        raise BadLegacyFile("symlink", "", "is a symbolic link; put the folder itself there")
    if not entry.is_dir():
        raise BadLegacyFile("not-a-folder", "", "is a file where the folder of a task should be")
    try:
        names = {below.name for below in entry.iterdir()}
    except OSError as error:
        raise BadLegacyFile("unreadable", "", f"cannot be read: {error.strerror}") from error
    if not names:
        return None  # what a move leaves when it is broken off at the very end
    task_id = _id(entry.name, "the folder")
    if not names & {RESULT, MANIFEST}:
        raise BadLegacyFile("missing", "", f"holds neither {RESULT} nor {MANIFEST}")
    result, manifest = (f"{path}/{name}" if name in names else None for name in (RESULT, MANIFEST))
    return task_id, Copy(result, manifest)


def _look_at_result(entry: Path, path: str) -> tuple[UUID, Copy] | None:
    if entry.suffix != ".json" or entry.name == INDEX:
        return None
    return _id(entry.stem, "the file"), Copy(path)


def _id(name: str, what: str) -> UUID:
    if not _UUID.fullmatch(name):
        raise BadLegacyFile("bad-id", "", f"has no id: the name of {what}, {name[:60]!r}, is not a UUID")
    return UUID(name)
