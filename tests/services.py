"""Real services for tests: a Redis protocol server of our own, free ports, patience."""

import itertools
import os
import random
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from workers.valkey import valkey_argv, wait_until_ready

T = TypeVar("T")

FIRST_PORT, PARTS, PORTS_A_PART = 20_000, 10, 1_000
_turns = itertools.count(random.randrange(PORTS_A_PART))  # noqa: S311  so that two test runs begin at different ports


@contextmanager
def running_valkey() -> Iterator[str]:
    """Start the embedded server in a folder of its own; yields its URL."""
    with tempfile.TemporaryDirectory(prefix="valkey-") as folder:
        socket_path = Path(folder) / "valkey.sock"
        process = subprocess.Popen(valkey_argv(socket=socket_path, folder=Path(folder) / "data"))
        try:
            url = f"unix://{socket_path}"
            wait_until_ready(url)
            yield url
        finally:
            process.terminate()
            process.wait()


def free_port() -> int:
    """A TCP port that nothing listens on, and that stays free until it is used.

    It lies below those that the system gives to whoever asks for any, and each process of a test run has its own part.
    """
    worker = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0) % PARTS
    for _ in range(PORTS_A_PART):
        port = FIRST_PORT + PORTS_A_PART * worker + next(_turns) % PORTS_A_PART
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("every port is taken")


def wait_for(condition: Callable[[], T], *, seconds: float = 60.0, what: str = "it") -> T:
    """The first truthy answer of `condition`; fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.02)
    return answer
