"""Strategies for tests: wishes drawn from a seed, wishes given outright, and some that break the rules."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.catalog import StrategySpec, extended_catalog
from engine.params import ParamSpec
from engine.signals import Signals, long_only


def _param(name: str, type_: str, default: Any) -> ParamSpec:
    return ParamSpec(name=name, type=type_, default=default, label=name, help=name)


def _strategy(name: str, *params: ParamSpec, warmup: int = 0) -> StrategySpec:
    return StrategySpec(
        name=name, label=name, help=name, params=params, signals=f"{__name__}:{name}", warmup=lambda _: warmup
    )


def drawn(bars, params: Mapping[str, Any]) -> Signals:
    """Four random flags a bar, each bar's from its own number, so that no other bar matters."""
    rng = np.random.default_rng(params["seed"])
    draws = rng.random((1 + int(bars.timestamp[-1]) // 60_000_000, 4))[bars.timestamp // 60_000_000]
    enter, exit_, enter_short, exit_short = np.ascontiguousarray((draws < params["density"]).T)
    return Signals(enter, exit_, enter_short, exit_short, params["hold"])


def at(bars, params: Mapping[str, Any]) -> Signals:
    """Enter and exit long at the given bars: text such as "enter 3, exit 7"."""
    flags = {name: np.zeros(len(bars), dtype=bool) for name in ("enter", "exit", "enter_short", "exit_short")}
    for part in str(params["plan"]).split(", "):
        name, bar = part.split()
        if int(bar) < len(bars):
            flags[name][int(bar)] = True
    return Signals(**flags, hold_bars=params["hold"])


def tomorrow(bars, params) -> Signals:
    """Looks one bar ahead."""
    enter = np.zeros(len(bars), dtype=bool)
    enter[:-1] = bars.close[1:] > bars.close[:-1] * 1.001
    return long_only(enter, ~enter)


def whole_run(bars, params) -> Signals:
    """Looks at everything: the mean of all closes."""
    enter = bars.close > bars.close.mean()
    return long_only(enter, ~enter)


def last_year(bars, params) -> Signals:
    """Looks ahead in the second half of long runs only."""
    enter = np.zeros(len(bars), dtype=bool)
    enter[:-3] = bars.high[3:] > bars.high[:-3] * 1.004
    enter[bars.timestamp < 50_000 * 60_000_000] = False
    return long_only(enter, ~enter)


def too_short(bars, params) -> Signals:
    return long_only(np.zeros(len(bars) - 1, dtype=bool))


def numbers(bars, params) -> Signals:
    return long_only(np.zeros(len(bars)))


def nothing(bars, params):
    return None


def failing(bars, params):
    raise ZeroDivisionError("a bug")


def meddling(bars, params) -> Signals:
    bars.close[0] = 1.0
    return long_only(np.zeros(len(bars), dtype=bool))


CATALOG = extended_catalog(
    [
        _strategy(
            "drawn", _param("seed", "int", 1), _param("density", "float", 0.1), _param("hold", "int", None)
        ),
        _strategy("at", _param("plan", "choice", "enter 0"), _param("hold", "int", None)),
        *(
            _strategy(name, warmup=1)
            for name in (
                "tomorrow", "whole_run", "last_year", "too_short", "numbers", "nothing", "failing", "meddling"
            )
        ),
    ]
)  # fmt: skip
