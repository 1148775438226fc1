"""One running copy of the product for each data folder and port."""

import fcntl
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from workers.errors import CannotStart


def take_lock(data_dir: Path, *, say: Callable[[str], None], seconds: float = 30) -> int:
    """Lock `data_dir` for this supervisor and its children; the file descriptor is the lock.

    Children inherit it, so after a kill -9 of the supervisor the lock stays taken until the last of them has
    stopped: then this waits for them. A living supervisor is a CannotStart at once.
    """
    fd = os.open(data_dir / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + seconds
    waiting = False
    while not _try_lock(fd):
        owner = _owner(fd)
        if owner and _lives(owner):
            raise CannotStart(
                f"coin-hts is already running in {data_dir} (process {owner}). Stop it, or choose another folder "
                "and port: PORT=8001 DATA_DIR=./data-2 ./dev run"
            )
        if time.monotonic() > deadline:
            raise CannotStart(f"Processes of an earlier run still use {data_dir} and do not stop.")
        if not waiting:
            say("Waiting for the processes of an earlier run to stop ...")
            waiting = True
        time.sleep(0.1)
    os.ftruncate(fd, 0)
    os.pwrite(fd, str(os.getpid()).encode(), 0)
    return fd


def check_port(host: str, port: int) -> None:
    """CannotStart when something listens on `host`:`port` already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotStart(
                f"Port {port} on {host} is taken ({error.strerror}). Stop what uses it, or choose another: "
                f"PORT={port + 1} ./dev run"
            ) from error


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).decode(errors="replace")
    return int(text) if text.isdigit() else None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
