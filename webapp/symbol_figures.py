"""The figures of some of a result's symbols, computed again from what is stored of them. Loads pyarrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from engine.metric_table import stored_metrics
from engine.metrics import summarise
from engine.portfolio import combine
from engine.stored_run import Closes, StoredRun, rebuilt
from storage_core import result_store
from storage_core.already_run import day_range
from storage_core.backtest_keeping import active_symbols, choose_symbols
from storage_core.backtests import get
from storage_core.bar_fingerprints import fingerprint_now
from storage_core.bar_store import BarStore
from storage_core.errors import NoBars, StorageError
from storage_core.models import Backtest
from storage_core.settings import Settings
from webapp import curves

NAMES = {
    "entry_price": "entry_price",
    "exit_price": "exit_price",
    "quantity": "quantity",
    "fee": "fee_amount",
    "slippage": "slippage_amount",
    "pnl": "pnl",
}


def can_choose(backtest: Backtest) -> bool:
    """Whether figures of some symbols can be computed: not of legacy results, whose cash and costs nobody noted."""
    return len(backtest.symbols) > 1 and "costs" in backtest.spec and backtest.status == "completed"


def changed_symbols(backtest: Backtest, wanted: Mapping[str, bool]) -> list[str]:
    """The symbols that count once those of `wanted` are switched on or off, in the order of the spec."""
    active = active_symbols(backtest)
    return [symbol for symbol in backtest.symbols if wanted.get(symbol, symbol in active)]


def figures_of(settings: Settings, store: BarStore, backtest: Backtest, symbols: Sequence[str]) -> dict[str, Any]:
    """Every metric of these symbols together, by stored name.

    Where the bars have changed since, or are gone, what needs prices (buy and hold, exposure, alpha, beta) is None.
    """
    runs = {symbol: _run(settings, store, backtest, symbol) for symbol in symbols}
    values = summarise(runs, combine(runs), annual_days=backtest.spec.get("annual_days", 365))
    return dict(stored_metrics(values))


def switch(
    session: Session, backtest: Backtest, wanted: Mapping[str, bool], *, settings: Settings, store: BarStore
) -> Backtest:
    """Switch symbols on or off, with the figures of those that count then. Does not commit. Raises BadFilter.

    Where somebody else switches others meanwhile, both count: nothing else may be unwritten in `session`.
    """
    while True:
        before, chosen = active_symbols(backtest), changed_symbols(backtest, wanted)
        figures = figures_of(settings, store, backtest, chosen) if chosen else {}
        changed = choose_symbols(session, backtest.task_id, chosen, figures, instead_of=before)
        if changed is not None:
            return changed
        session.rollback()
        backtest = get(session, backtest.task_id)


def changed_bars(store: BarStore, backtest: Backtest) -> list[str]:
    """Of which symbols the bars in the range of the result are other ones now, or gone."""
    return [symbol for symbol in backtest.metadata_.get("data") or {} if not _same_bars(store, backtest, symbol)]


def _same_bars(store: BarStore, backtest: Backtest, symbol: str) -> bool:
    spec = backtest.spec
    noted = (backtest.metadata_.get("data") or {}).get(symbol, {}).get("sha256")
    first, last = date.fromisoformat(spec["start_date"]), date.fromisoformat(spec["end_date"])
    between = day_range(first, last, spec.get("timezone", "UTC"))
    try:
        now = fingerprint_now(store, symbol, backtest.timeframe, *between, newest=spec.get("candle_size"))
    except NoBars:
        return False
    return noted == now


def _run(settings: Settings, store: BarStore, backtest: Backtest, symbol: str) -> StoredRun:
    curve = curves.symbol_curve(settings, backtest, symbol)
    return rebuilt(
        Closes(curve.timestamp, _closes(store, backtest, symbol, curve.timestamp)),
        np.ascontiguousarray(curve.value),
        _trades(settings, backtest, symbol),
        initial_cash=curves.cash(backtest),
    )


def _closes(store: BarStore, backtest: Backtest, symbol: str, times: NDArray[np.int64]) -> NDArray[np.float64]:
    unknown = np.full(len(times), np.nan)
    try:
        if not _same_bars(store, backtest, symbol):
            return unknown
        bars = store.read(symbol, backtest.timeframe).between(int(times[0]), int(times[-1]) + 1)
    except StorageError:  # gone or damaged since: the page of the data says so
        return unknown
    return bars.close if np.array_equal(bars.timestamp, times) else unknown


def _trades(settings: Settings, backtest: Backtest, symbol: str) -> dict[str, NDArray[Any]]:
    wanted = ["timestamp", "exit_timestamp", "type", "return_pct", *NAMES.values()]
    table = result_store.read_table(settings, backtest, "symbol_signals", columns=wanted, symbol=symbol)
    floats = {name: table[column].cast("float64").to_numpy() for name, column in NAMES.items()}
    return {
        "entry_time": curves.micros_of(table["timestamp"]),
        "exit_time": table["exit_timestamp"].cast("int64").fill_null(-1).to_numpy(),
        "side": np.where(np.array(table["type"].to_pylist(), dtype=object) == "buy", 1, -1),
        "return_": table["return_pct"].to_numpy() / 100.0,
        **floats,
    }
