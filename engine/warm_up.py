"""warm_up: every kernel compiled, or loaded from the cache, before the first backtest asks for it."""

from datetime import date

import numpy as np

from engine.bars import Bars
from engine.catalog import STRATEGIES
from engine.positions import Bar, PositionManager
from engine.signals import Wish
from engine.simulation import simulate
from engine.spec import BacktestSpec, Exits

_BARS = 64
_HOUR = 3_600_000_000


def warm_up() -> None:
    """Run every shipped strategy over a few made-up bars: seconds with an empty cache, a moment with a full one."""
    bars = _bars()
    for name, strategy in STRATEGIES.items():
        spec = BacktestSpec(
            strategy=name,
            params={param.name: param.default for param in strategy.params},
            symbols=("USD-BTC",),
            timeframe="1h",
            start_date=date(2024, 1, 1),
            end_date=date(2024, 1, 3),
            exits=Exits(stop_loss=0.02, take_profit=0.02),
        )
        simulate(bars, spec)
    manager = PositionManager(spec)
    manager.on_bar("USD-BTC", name, Bar(0, 1.0, 1.0, 1.0, 1.0))
    manager.on_signal("USD-BTC", name, Wish.ENTER)


def _bars() -> Bars:
    close = 100.0 + 5.0 * np.sin(np.arange(_BARS) / 3.0)
    return Bars(
        timestamp=np.arange(_BARS, dtype=np.int64) * _HOUR,
        open=close.copy(),
        high=close + 1.0,
        low=close - 1.0,
        close=close,
        volume=np.ones(_BARS),
    )
