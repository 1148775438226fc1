"""A worker that dies by kill -9 in the middle of a save. Runs in a process of its own."""

import os
import signal
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

from storage_core import repair, result_store
from storage_core.backtests import Claim
from storage_core.db import make_engine
from storage_core.settings import Settings
from tests.storage_core.examples import METADATA, METRICS, tables

processes = get_context("forkserver")
# Imported once, for all the processes: pyarrow looks for pandas at the first table, and each process for pytest.
processes.set_forkserver_preload(
    [
        __name__,
        "tests.storage_core.crashing_backups",
        "storage_core.result_files",
        "psycopg",
        "pandas",
        "pytest",
        "boto3",
        "storage_core.object_s3_errors",
    ]
)


TABLES = tables()
MORE_TABLES = tables(2_000)


def save_and_die(settings: Settings, claims: list[Claim], step: str) -> None:
    """Save for each claim, and be killed when `step` is done; an empty `step` lives on."""
    engine = make_engine(settings.database_url)

    def on_step(done: str) -> None:
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    stored = TABLES if step else MORE_TABLES
    for claim in claims:
        result_store.save(engine, settings, claim, stored, metrics=METRICS, metadata=METADATA, on_step=on_step)
    engine.dispose()


def repair_and_die(settings: Settings, step: str) -> None:
    """Repair, and be killed when `step` is done."""

    def on_step(done: str) -> None:
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    repair.repair(make_engine(settings.database_url), settings, on_step=on_step)


def repairing(settings: Settings, step: str) -> BaseProcess:
    """Start such a repair; the caller joins it."""
    process = processes.Process(target=repair_and_die, args=(settings, step))
    process.start()
    return process


def started(settings: Settings, *claims: Claim, step: str = "") -> BaseProcess:
    """Start such a worker; the caller joins it."""
    process = processes.Process(target=save_and_die, args=(settings, list(claims), step))
    process.start()
    return process
