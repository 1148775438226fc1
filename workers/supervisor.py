"""`flask up` and `./dev run`: start every process, restart what dies, stop all of it on Ctrl-C.

Signals go to the main process of each child only, never to a process group: dramatiq's own children would die hard
and leave their messages behind.
"""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import replace

import structlog

from storage_core.errors import SettingsError
from storage_core.logs import configure_logs
from storage_core.settings import Settings
from workers.child import Child
from workers.errors import CannotStart
from workers.lock import check_port, take_lock
from workers.valkey import valkey_argv

log = structlog.get_logger("supervisor")

STOP_SECONDS = 20.0
# Memory that Arrow and the C library give back instead of keeping: measured 230 to 171 MB in a busy web process.
SMALL_MEMORY = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "2"}


def say(text: str) -> None:
    """Speak to the person at the terminal."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def web_argv(settings: Settings) -> list[str]:
    """gunicorn with one process and threads: the pages wait for the database, not for the processor."""
    bind = f"[{settings.host}]:{settings.port}" if ":" in settings.host else f"{settings.host}:{settings.port}"
    return [
        *(sys.executable, "-m", "gunicorn", "--config", "python:workers.gunicorn_config", "wsgi:app", "--bind", bind),
        *("--worker-class", "gthread", "--workers", "1", "--threads", "8"),
        *("--graceful-timeout", "10", "--log-level", "warning", "--no-control-socket"),
    ]


def worker_argv(settings: Settings) -> list[str]:
    """One thread a process: kernels scale in processes, and a backtest has its processor to itself."""
    return [
        *(sys.executable, "-m", "dramatiq", "workers.boot:boot"),
        *("--processes", str(settings.worker_processes), "--threads", "1"),
        *("--skip-logging", "--worker-shutdown-timeout", "10000"),
    ]


def io_worker_argv() -> list[str]:
    """One process with threads: jobs wait for the network and the disk, not for the processor."""
    return [
        *(sys.executable, "-m", "dramatiq", "workers.boot:boot_io", "--processes", "1", "--threads", "4"),
        *("--skip-logging", "--worker-shutdown-timeout", "10000"),
    ]


def make_children(settings: Settings, *, lock_fd: int) -> list[Child]:
    """Every process but the embedded broker, which has to answer before these start."""
    env = child_env(settings)
    commands = {
        "web": web_argv(settings),
        "worker": worker_argv(settings),
        "clock": [sys.executable, "-m", "workers.clock"],
        "worker-io": io_worker_argv(),
    }
    return [Child(name, argv, env=env, lock_fd=lock_fd) for name, argv in commands.items()]


def child_env(settings: Settings) -> dict[str, str]:
    """The environment of the children: ours, with the folder and the broker as this process resolved them."""
    resolved = {
        "DATA_DIR": str(settings.data_dir),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.broker_url,
    }
    files = {f"{name}_FILE" for name in resolved}  # read already; a value and its file together are an error
    kept = {name: value for name, value in os.environ.items() if name not in files}
    return {**kept, **resolved, "PYTHONUNBUFFERED": "1", **SMALL_MEMORY}


def prepare(settings: Settings) -> str:
    """Run `workers.prepare`; what it says to the person at the terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "workers.prepare"],
        env=child_env(settings),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CannotStart("The product could not be made ready; the lines above say why.")
    return done.stdout


def wait_for_page(settings: Settings, web: Child, stop: threading.Event, *, seconds: float = 60) -> None:
    """Return when the web process answers, or when somebody wants to stop."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    host = "127.0.0.1" if settings.host == "0.0.0.0" else host  # noqa: S104
    deadline = time.monotonic() + seconds
    while not stop.is_set():
        try:
            with urllib.request.urlopen(f"http://{host}:{settings.port}/healthz", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            web.keep_alive()
            if time.monotonic() > deadline:
                raise CannotStart(
                    f"The web process does not answer on port {settings.port}; see the lines above."
                ) from None
            stop.wait(0.03)


def supervise(settings: Settings, stop: threading.Event) -> None:
    """Run everything until `stop` is set. Raises CannotStart before anything half-started is left behind."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    try:
        lock_fd = take_lock(settings.data_dir, say=say)
    except CannotStart:
        check_port(settings.host, settings.port)  # the plainer message, when it is the same port too
        raise
    check_port(settings.host, settings.port)
    broker: list[Child] = []
    children: list[Child] = []
    try:
        if settings.redis_url is None:
            argv = valkey_argv(socket=settings.socket_path, folder=settings.data_dir / "valkey")
            broker.append(Child("valkey", argv, env=dict(os.environ), lock_fd=lock_fd))
            broker[0].start()
        text = prepare(settings)
        children = make_children(settings, lock_fd=lock_fd)
        web, *others = children
        web.start()
        wait_for_page(settings, web, stop)
        if not stop.is_set():
            for child in others:  # nothing on the first page waits for them, and their loading would slow it down
                child.start()
            say(text.rstrip("\n"))
        while not stop.wait(0.2):
            for child in (*broker, *children):
                child.keep_alive()
    finally:
        stop_all(children)
        stop_all(broker)
        os.close(lock_fd)


def stop_all(children: list[Child]) -> None:
    """SIGTERM to all, then wait; what does not stop in time is killed with all it started."""
    deadline = time.monotonic() + STOP_SECONDS
    for child in children:
        child.terminate()
    for child in children:
        child.wait(deadline - time.monotonic())


def main() -> int:
    """Entry point; the exit status is 0 after Ctrl-C or SIGTERM and 1 when it could not start."""
    stop = threading.Event()

    def on_signal(signum: int, _frame: object) -> None:
        if not stop.is_set():
            say("\nStopping ...")
        stop.set()

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, on_signal)
    try:
        settings = Settings.from_env()
        configure_logs(settings.log_format, process="supervisor")
        supervise(replace(settings, data_dir=settings.data_dir.resolve()), stop)
    except (CannotStart, SettingsError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
