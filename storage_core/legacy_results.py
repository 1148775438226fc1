"""Migrating the results of the legacy system: find, convert, store, compare, move; in any number of processes.

One migration runs at a time on a machine; a second one waits, and then finds what is left. Killed at any moment, it
is run again and goes on: nothing is lost, nothing is stored twice. Bad files are collected, not raised.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from pathlib import Path

from storage_core import legacy_find, legacy_verify, result_import
from storage_core.files import disk_problems, file_lock
from storage_core.legacy_batch import Batches, Options
from storage_core.legacy_errors import MigrationBroken
from storage_core.legacy_find import RESULTS, TASKS, Unit
from storage_core.legacy_move import check_movable
from storage_core.legacy_report import Outcome, Report
from storage_core.settings import Settings

__all__ = ["BATCH_SIZE", "Options", "Report", "default_backup_dir", "migrate"]

BATCH_SIZE = 100
BATCH_BYTES = 32 * 2**20
_LOCK = ".migrating"
_in_this_process: list[Batches] = []


def default_backup_dir(source: Path) -> Path:
    """Where migrated files go unless another place is asked for: on the same file system, outside both layouts."""
    return source / "backups"


def migrate(
    settings: Settings,
    options: Options,
    *,
    jobs: int = 1,
    batch_size: int = BATCH_SIZE,
    on_progress: Callable[[int, int, int], None] = lambda done, total, failed: None,
) -> Report:
    """Migrate everything in `options.source`; `on_progress` hears (done, total, failed) results after each batch.

    Raises NotLegacy, CannotMove, DiskProblem and MigrationBroken: what concerns the whole run and not one file.
    """
    started, report = time.perf_counter(), Report(str(options.source), options.dry_run)
    legacy_find.check_source(options.source)
    if not options.dry_run:
        check_movable(options.source, options.backup_dir, (TASKS, RESULTS))
    with nullcontext() if options.dry_run else _alone(settings):
        units = legacy_find.find(options.source)
        if options.verify:
            report.verified, failures = legacy_verify.verify_backups(settings, options, units)
            report.add(Outcome(failure=failure) for failure in failures)
        report.add(legacy_verify.missing_files(settings, options.source, units))
        total = report.found + sum(len(unit.copies) or 1 for unit in units)
        batches = _batches(options.source, units, batch_size)
        for outcomes in _outcomes(settings, options, batches, jobs=min(jobs, -(-len(units) // batch_size))):
            report.add(outcomes)
            on_progress(report.found, total, report.failed)
    report.close(time.perf_counter() - started)
    return report


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Wait until no other migration runs here, and clear what a killed one left."""
    with disk_problems(settings.results_dir):
        settings.results_dir.mkdir(parents=True, exist_ok=True)
    with file_lock(settings.results_dir / _LOCK):
        result_import.clear(settings.results_dir)
        yield


def _batches(source: Path, units: Sequence[Unit], size: int) -> Iterator[list[Unit]]:
    """Units in groups of `size`, fewer when their files are large, so that memory does not grow with them."""
    batch: list[Unit] = []
    weight = 0
    for unit in units:
        own = sum(_size(source / path) for copy in unit.copies for path in copy.files)
        if batch and (len(batch) >= size or weight + own > BATCH_BYTES):
            yield batch
            batch, weight = [], 0
        batch.append(unit)
        weight += own
    if batch:
        yield batch


def _outcomes(
    settings: Settings, options: Options, batches: Iterator[list[Unit]], *, jobs: int
) -> Iterator[list[Outcome]]:
    if jobs > 1:
        yield from _in_processes(settings, options, batches, jobs)
        return
    own = Batches(settings, options)
    try:
        for batch in batches:
            yield own.run(batch)
    finally:
        own.close()


def _in_processes(
    settings: Settings, options: Options, batches: Iterator[list[Unit]], jobs: int
) -> Iterator[list[Outcome]]:
    """Outcomes in the order of the batches, only a few of which are under way at any time."""
    context = multiprocessing.get_context("spawn")
    waiting: deque[Future[list[Outcome]]] = deque()
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(settings, options)) as pool:
        try:
            for batch in batches:
                waiting.append(pool.submit(_run_batch, batch))
                if len(waiting) > 2 * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise MigrationBroken from error
        finally:
            for future in waiting:
                future.cancel()


def _begin(settings: Settings, options: Options) -> None:
    """In a new process: its own engine, and an end when the process that started it ends."""
    import pyarrow as pa

    pa.set_cpu_count(1)  # as many processes as processors already
    _in_this_process.append(Batches(settings, options))
    parent = multiprocessing.parent_process()

    def end_with_parent() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _run_batch(batch: list[Unit]) -> list[Outcome]:
    return _in_this_process[0].run(batch)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
