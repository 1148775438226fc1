"""simulate against the slow model, over random specs and random bars."""

import os

import numpy as np
import pytest

from engine.kernels.records import EXIT_REASONS
from engine.simulation import simulate
from engine.spec import Costs, Exits, Sizing
from tests.engine.made import random_bars, spec_of
from tests.engine.model import Model
from tests.engine.planted import CATALOG, drawn

CASES = int(os.environ.get("ENGINE_CASES", "600"))


def random_spec(rng):
    def maybe(value, chance=0.5):
        return value if rng.random() < chance else None

    kind = str(rng.choice(["all_in", "all_in", "fraction", "fixed_notional", "fixed_quantity"]))
    value = {"all_in": None, "fraction": rng.choice([0.1, 0.5, 1.0]), "fixed_notional": 3000.0, "fixed_quantity": 7.0}
    return spec_of(
        "drawn",
        {
            "seed": int(rng.integers(1 << 30)),
            "density": float(rng.choice([0.02, 0.1, 0.3, 0.6])),
            "hold": maybe(int(rng.integers(1, 12)), 0.3),
        },
        initial_cash=float(rng.choice([100.0, 10_000.0, 1e9])),
        costs=Costs(
            fee_rate=float(rng.choice([0.0, 0.001, 0.05])), slippage_rate=float(rng.choice([0.0, 0.0002, 0.03]))
        ),
        sizing=Sizing(
            kind=kind,
            value=None if value[kind] is None else float(value[kind]),
            quantity_step=maybe(float(rng.choice([1e-8, 0.001, 0.3, 1.0])), 0.3),
            price_tick=maybe(float(rng.choice([0.01, 0.5, 3.0])), 0.3),
        ),
        exits=Exits(
            hold_bars=maybe(int(rng.integers(1, 12)), 0.3),
            stop_loss=maybe(float(rng.choice([0.005, 0.02, 0.1, 1.0]))),
            take_profit=maybe(float(rng.choice([0.005, 0.02, 0.1, 1.5]))),
            trailing_stop=maybe(float(rng.choice([0.005, 0.02, 0.1])), 0.3),
            stops_from=str(rng.choice(["entry_bar", "next_bar"])),
        ),
        fill=str(rng.choice(["next_open", "same_close"])),
        direction=str(rng.choice(["long", "short", "both"])),
    )


def close_to(ours, theirs, scale):
    return np.allclose(ours, theirs, rtol=1e-9, atol=1e-9 * scale, equal_nan=True)


def compare(bars, spec):
    signals = drawn(bars, spec.params)
    flags = (signals.enter, signals.exit, signals.enter_short, signals.exit_short)
    model = Model(spec, signals.hold_bars).run(bars, flags)
    ours = simulate(bars, spec, strategies=CATALOG, chunk_bars=37)
    assert ours.ambiguous_bars == model.ambiguous
    assert ours.unfilled_orders == model.unfilled
    assert [(t.entry_bar, t.exit_bar, t.side, t.exit_reason) for t in model.trades] == [
        (entry, exit_, side, EXIT_REASONS[reason])
        for entry, exit_, side, reason in zip(
            ours.trades.entry_bar, ours.trades.exit_bar, ours.trades.side, ours.trades.exit_reason, strict=True
        )
    ]
    for name in ("entry_price", "quantity", "fee", "slippage", "pnl", "return_", "mae", "mfe", "exit_price"):
        theirs = [np.nan if (value := getattr(trade, name)) is None else value for trade in model.trades]
        scale = 1.0 if name in ("return_", "mae", "mfe") else spec.initial_cash
        assert close_to(getattr(ours.trades, name), theirs, scale), name
    assert close_to(ours.equity, model.equity, spec.initial_cash)
    assert close_to(ours.drawdown, model.drawdown, 1.0)
    best = Model(spec, signals.hold_bars, best_case=True).run(bars, flags) if model.ambiguous else model
    assert close_to(ours.best_return, best.equity[-1] / spec.initial_cash - 1, 1.0)
    assert close_to(ours.worst_return, model.equity[-1] / spec.initial_cash - 1, 1.0)


@pytest.mark.parametrize("batch", range(4))
def test_simulation_equals_the_slow_model(batch):
    for case in range(batch, CASES, 4):
        rng = np.random.default_rng(case)
        bars = random_bars(rng, int(rng.integers(1, 120)), spread=float(rng.choice([0.002, 0.02, 0.1])))
        try:
            compare(bars, random_spec(rng))
        except AssertionError as error:
            raise AssertionError(f"case {case}: {error}") from error
