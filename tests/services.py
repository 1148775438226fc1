"""Real services for tests: a Redis protocol server of our own, free ports, patience."""

import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from workers.valkey import valkey_argv, wait_until_ready

T = TypeVar("T")


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
    """A TCP port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition: Callable[[], T], *, seconds: float = 20.0, what: str = "it") -> T:
    """The first truthy answer of `condition`; fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.02)
    return answer
