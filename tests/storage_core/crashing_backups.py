"""A backup, a prune and a restore that die by kill -9 when a step is done. Each runs in a process of its own."""

import os
import signal
from collections.abc import Callable
from datetime import timedelta

from alembic.runtime import migration

from storage_core import backup, backup_prune
from storage_core.backup_store import backup_store
from storage_core.backup_watcher import Watcher
from storage_core.db import make_engine, utc_now
from storage_core.object_local import LocalStorageProvider
from storage_core.restore import Target, restore
from storage_core.settings import Settings
from tests.storage_core.crashing import processes

LOADED = (migration, LocalStorageProvider)  # what is imported late, so that it is there before the processes are forked


def killer(last: str) -> Callable[[str], None]:
    """Dies by kill -9 when that step is done."""

    def on_step(step: str) -> None:
        if step == last:
            os.kill(os.getpid(), signal.SIGKILL)

    return on_step


def die_in_backup(settings: Settings, step: str, path: str) -> None:
    os.environ["PATH"] = path
    backup.create(make_engine(settings.database_url), settings, watcher=Watcher(on_step=killer(step)))


def die_in_prune(settings: Settings, step: str) -> None:
    later = utc_now() + timedelta(days=2)
    backup_prune.prune(make_engine(settings.database_url), settings, now=later, on_step=killer(step))


def die_in_restore(settings: Settings, target: Target, step: str, path: str) -> None:
    os.environ["PATH"] = path
    restore(backup_store(settings), "latest", target, watcher=Watcher(on_step=killer(step)))


def killed(work: Callable[..., None], *arguments: object) -> None:
    process = processes.Process(target=work, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == -9
    process.close()
