"""The trades that vectorbt and backtesting.py made of the sample bars (written by tests.engine.make_golden)."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from engine.bars import Bars
from engine.simulation import simulate
from engine.spec import Costs, Exits
from tests.engine.made import spec_of

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "tests" / "data" / "engine").glob("*.json"))


def sample(name: str, last: int) -> Bars:
    table = pq.read_table(ROOT / "storage_core" / "sample" / f"{name}.parquet")
    bars = Bars(
        table["timestamp"].cast("int64").to_numpy(),
        *(table[name].to_numpy() for name in ("open", "high", "low", "close", "volume")),
    )
    return bars.slice(max(0, len(bars) - last), len(bars))


def test_there_are_golden_files():
    assert len(FILES) == 6


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("variant", ["next_open", "same_close", "slippage", "stops"])
def test_the_trades_of_other_engines(path, variant):
    golden = json.loads(path.read_text())
    case = golden["cases"][variant]
    rule = case["rule"]
    spec = spec_of(
        golden["strategy"],
        initial_cash=golden["cash"],
        costs=Costs(fee_rate=rule["fee"], slippage_rate=rule["slippage"]),
        exits=Exits(stop_loss=rule["stop"], take_profit=rule["target"], stops_from="next_bar"),
        fill=rule["fill"],
    )
    run = simulate(sample(golden["bars"], golden["last"]), spec)
    trades, closed = run.trades, run.trades.closed
    ours = np.column_stack([trades.entry_bar, trades.exit_bar, trades.entry_price, trades.exit_price])[closed]
    assert len(ours) >= 5
    for engine, theirs in case["engines"].items():
        rows = [row for row in theirs["trades"] if row[1] is not None]
        np.testing.assert_allclose(ours, [row[:4] for row in rows], rtol=1e-11, err_msg=engine)
        assert run.final_equity == pytest.approx(theirs["final_equity"], rel=1e-9)
        if engine == "vectorbt":
            np.testing.assert_allclose(trades.quantity, [row[4] for row in theirs["trades"]], rtol=1e-11)
