"""Bars in S3, for workers on several machines that share a database and a bucket but no disk.

bars/{symbol}_{timeframe}/{sha256}.parquet    an object for each state, never changed
bar_files                                     the row that says which of them counts

A merge reads the state that counts, uploads the next, reads it back, and moves the row on only if it still names the
state that was read: of two writers at once one wins, the other begins again on top of it. From the upload on they
take turns, and who deletes bars takes a turn too, so that nobody removes what another has just sent. Objects that no
row names are removed by a merge an hour after another took their place: a reader who has just asked, or a backup that
has just read the rows, still finds its own.
"""

from __future__ import annotations

import random
import time
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import create_engine, delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from storage_core.bar_changes import checked_bars, facts_of, joined
from storage_core.bar_errors import BarsBusy
from storage_core.bar_merge import MergePlan
from storage_core.bar_names import Wins
from storage_core.bar_store import TIMEFRAMES, BarStore, Coverage, coverage_of, file_name
from storage_core.bar_table import BarTable
from storage_core.db import engine_options, session_scope, utc_now
from storage_core.errors import BarsDamaged, NoBars
from storage_core.files import disk_problems, file_lock, sha256_file
from storage_core.models import BarFile
from storage_core.object_cache import FileCache
from storage_core.object_errors import ObjectDamaged, ObjectNotFound
from storage_core.object_provider import StorageProvider, again_when_damaged
from storage_core.settings import Settings

TRIES = 20  # each that is lost is a merge that somebody else has finished
LONGEST_PAUSE = 0.3
NOT_NEEDED_AFTER = timedelta(hours=1)
PREFIX = "bars"
_COLUMNS = ("sha256", "rows", "first", "last", "bytes", "fingerprint", "quality")


class S3BarStore(BarStore):
    """Bars as objects, read through a cache on this machine. The methods are those of `BarStore`."""

    def __init__(self, settings: Settings, provider: StorageProvider) -> None:
        self.root = settings.data_dir / "cache" / "bars"
        with disk_problems(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        self._lock = settings.data_dir / "bars.lock"
        self.provider = provider
        self.cache = FileCache(self.root, limit=settings.results_cache_mb * 1_000_000)
        # A connection a question: this object lives as long as the process and belongs to no thread.
        self._engine = create_engine(
            settings.database_url, **{**engine_options(settings.database_url), "poolclass": NullPool}
        )

    def scan(self) -> tuple[list[Coverage], list[BarsDamaged]]:
        """One SELECT; an object is looked at when it is read."""
        with self._session() as session:
            rows = session.scalars(select(BarFile)).all()
        found = [coverage_of(row.symbol, row.timeframe, _entry(row)) for row in rows]
        return sorted(found, key=lambda one: (one.symbol, TIMEFRAMES[one.timeframe])), []

    def coverage(self, symbol: str, timeframe: str) -> Coverage:
        """What is stored of one. Raises NoBars."""
        entry = self._row(symbol, timeframe)
        if entry is None:
            raise NoBars(symbol, timeframe, self._available(symbol, timeframe))
        return coverage_of(symbol, timeframe, entry)

    def merge_planned(
        self, symbol: str, timeframe: str, bars: BarTable | Mapping[str, Any], *, wins: Wins | None = None
    ) -> tuple[Coverage, MergePlan]:
        """Add bars to what is stored. Raises BarsBusy too, and the errors of `object_errors`."""
        new = checked_bars(symbol, timeframe, bars)
        for _ in range(TRIES):
            entry = self._row(symbol, timeframe)
            stored = None if entry is None else self._read_object(symbol, timeframe, entry, None)
            if entry is not None and stored is None:
                continue  # it was replaced a moment ago
            whole, done = joined(symbol, timeframe, stored, new, wins)
            if whole is None:
                assert entry is not None  # noqa: S101  nothing is stored already
                return coverage_of(symbol, timeframe, entry), done
            with self._turn(symbol, timeframe):
                after = self._upload(symbol, timeframe, whole)
                if self._commit(symbol, timeframe, entry, after):
                    self._tidy(symbol, timeframe, after["sha256"])
                    return coverage_of(symbol, timeframe, after), done
            time.sleep(random.uniform(0, LONGEST_PAUSE))  # noqa: S311  not a secret
        raise BarsBusy(symbol, timeframe)

    def delete(self, symbol: str, timeframe: str) -> None:
        """The row first, then its objects. Raises NoBars."""
        file_name(symbol, timeframe)
        mine = (BarFile.symbol == symbol) & (BarFile.timeframe == timeframe)
        with self._turn(symbol, timeframe):
            with self._session() as session:
                gone = session.scalars(delete(BarFile).where(mine).returning(BarFile.sha256)).all()
            for info in list(self.provider.list(_place(symbol, timeframe))) if gone else ():
                self.provider.delete(info.key)
        if not gone:
            raise NoBars(symbol, timeframe, self._available(symbol, timeframe))

    def install(self, symbol: str, timeframe: str, shipped: Path) -> bool:
        """Store a file of bars where there are none; False when there are."""
        if self.state(symbol, timeframe) is not None:
            return False
        from storage_core.bar_files import read_bars

        self.merge(symbol, timeframe, read_bars(shipped, -(2**63), 2**63 - 1), wins="stored")
        return True

    def state(self, symbol: str, timeframe: str) -> Hashable:
        """The digest of the object that counts."""
        entry = self._row(symbol, timeframe)
        return None if entry is None else entry["sha256"]

    def _load(self, symbol: str, timeframe: str, low: int, high: int) -> BarTable | None:
        for _ in range(TRIES):
            entry = self._row(symbol, timeframe)
            if entry is None:
                return None
            found = self._read_object(symbol, timeframe, entry, (low, high))
            if found is not None:
                return found
        raise BarsBusy(symbol, timeframe)

    def _read_object(
        self, symbol: str, timeframe: str, entry: Mapping[str, Any], between: tuple[int, int] | None
    ) -> BarTable | None:
        """The bars of one state; None when the row has moved on and the object is gone."""
        from storage_core.bar_files import read_bars

        digest, key = entry["sha256"], _key(symbol, timeframe, entry["sha256"])

        def fetch(path: Path) -> None:
            self.provider.download(key, path, sha256=digest)

        low, high = between or (-(2**63), 2**63 - 1)
        try:
            with self.cache.held(digest, Path(key).name, entry["bytes"], fetch) as path:
                return read_bars(path, low, high)
        except ObjectNotFound as error:
            now = self._row(symbol, timeframe)
            if now is None or now["sha256"] != digest:
                return None
            raise BarsDamaged(Path(key), "the object is gone") from error
        except ObjectDamaged as error:
            raise BarsDamaged(Path(key), error.problem) from error

    def _upload(self, symbol: str, timeframe: str, bars: BarTable) -> dict[str, Any]:
        """Send the next state and read it back; what its row will say."""
        from storage_core.bar_files import write_bars

        with TemporaryDirectory(prefix="coin-hts-") as folder:
            path = Path(folder) / "bars.parquet"
            write_bars(path, bars)
            digest, size = sha256_file(path), path.stat().st_size
            key = _key(symbol, timeframe, digest)

            def send() -> None:
                self.provider.upload(key, path, sha256=digest)
                self.provider.verify(key, sha256=digest)

            again_when_damaged(send)
        extent = {"rows": len(bars), "first": int(bars.timestamp[0]), "last": int(bars.timestamp[-1])}
        return {"sha256": digest, "bytes": size, **extent, **facts_of(bars, timeframe)}

    def _commit(self, symbol: str, timeframe: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> bool:
        """Move the row on, only from the state that was read; whether it was."""
        values = {**after, "updated_at": utc_now()}
        mine = (BarFile.symbol == symbol) & (BarFile.timeframe == timeframe)
        try:
            with self._session() as session:
                if before is None:
                    session.execute(insert(BarFile).values(symbol=symbol, timeframe=timeframe, **values))
                    return True
                moved = update(BarFile).where(mine, BarFile.sha256 == before["sha256"]).values(**values)
                return bool(session.scalars(moved.returning(BarFile.symbol)).all())
        except IntegrityError:
            return False  # somebody else was the first

    @contextmanager
    def _turn(self, symbol: str, timeframe: str) -> Iterator[None]:
        """Nobody else, on any machine, sends or removes objects of these bars meanwhile."""
        if self._engine.dialect.name != "postgresql":  # then there is one machine
            with file_lock(self._lock):
                yield
            return
        with self._engine.begin() as connection:
            key = f"coin-hts bars {symbol} {timeframe}"
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": key})
            yield

    def _tidy(self, symbol: str, timeframe: str, current: str) -> None:
        """Remove what no longer counted an hour ago: what another object had taken the place of by then."""
        before = utc_now() - NOT_NEEDED_AFTER
        states = sorted(self.provider.list(_place(symbol, timeframe)), key=lambda info: info.modified)
        for info, following in pairwise(states):
            if following.modified < before and info.key != _key(symbol, timeframe, current):
                self.provider.delete(info.key)

    def _row(self, symbol: str, timeframe: str) -> dict[str, Any] | None:
        file_name(symbol, timeframe)
        with self._session() as session:
            row = session.get(BarFile, (symbol, timeframe))
            return None if row is None else _entry(row)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with session_scope(self._engine) as session:
            yield session


def _entry(row: BarFile) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _COLUMNS}


def _place(symbol: str, timeframe: str) -> str:
    return f"{PREFIX}/{file_name(symbol, timeframe).removesuffix('.parquet')}/"


def _key(symbol: str, timeframe: str, digest: str) -> str:
    return f"{_place(symbol, timeframe)}{digest}.parquet"
