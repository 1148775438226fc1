"""Columns that charts are drawn from, kept as plain arrays under DATA_DIR/cache/charts: mapped, never decoded twice.

A file is named by everything that decides its content, so it is never stale; what was used longest ago goes first.
Losing the folder costs nothing but the time to read Parquet again.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import structlog

from storage_core.files import ABANDONED_AFTER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Times = NDArray[np.int64]
    Columns = Mapping[str, NDArray[np.float64]]

LIMIT: Final = 1_000_000_000  # bytes: about twenty results of a million bars
log = structlog.get_logger("web")


def kept(data_dir: Path, key: str, make: Callable[[], tuple[Times, Columns]]) -> tuple[Times, Columns]:
    """Times and columns of equal length named `key` (letters and digits), made at the first use."""
    folder = data_dir / "cache" / "charts"
    for path in folder.glob(f"{key}.*.npy"):
        found = _mapped(path)
        if found is not None:
            return found
    times, columns = make()
    try:
        _write(folder, f"{key}.{'-'.join(columns)}.npy", times, columns)
    except OSError as error:  # a full disk makes charts slower, not impossible
        log.warning("chart columns are not kept", problem=str(error))
    return times, columns


def _mapped(path: Path) -> tuple[Times, Columns] | None:
    try:
        table = np.asarray(np.load(path, mmap_mode="r"))
        os.utime(path)
    except FileNotFoundError:  # it went in this moment
        return None
    except (ValueError, EOFError) as error:  # the power went before all of it was on the disk
        log.warning("damaged chart columns are made again", path=path.name, problem=str(error))
        path.unlink(missing_ok=True)
        return None
    names = path.name.split(".")[1].split("-")
    return table[0].view(np.int64), dict(zip(names, table[1:], strict=True))


def _write(folder: Path, name: str, times: Times, columns: Columns) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shape = (1 + len(columns), len(times))
    _make_room(folder, 8 * shape[0] * shape[1])
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".", suffix=".new")
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
            for column in (np.ascontiguousarray(times).view(np.float64), *columns.values()):
                np.ascontiguousarray(column, dtype=np.float64).tofile(file)
        Path(temporary).replace(folder / name)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _make_room(folder: Path, needed: int) -> None:
    files = _found(folder, "*.npy")
    total = needed + sum(size for _, size, _ in files)
    for modified, _, path in _found(folder, ".*.new"):
        if modified < time.time() - ABANDONED_AFTER:  # its writer was killed
            path.unlink(missing_ok=True)
    for _, size, path in files:
        if total <= LIMIT:
            return
        path.unlink(missing_ok=True)
        total -= size


def _found(folder: Path, pattern: str) -> list[tuple[float, int, Path]]:
    """Time, size and path of what there is, the oldest first; another process may remove some meanwhile."""
    found = []
    for path in folder.glob(pattern):
        with suppress(FileNotFoundError):
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    return sorted(found)
