"""Columns left out of the files: given back bit for bit, whatever was given."""

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage_core import derive, result_files
from storage_core.errors import ResultDamaged
from storage_core.formulas import FORMULAS
from storage_core.schemas import PERFORMANCE_CURVE, SCHEMAS, SYMBOL_SIGNALS
from tests.storage_core.examples import same_bits, tables

SPEC = {
    "initial_cash": 10_000.0,
    "costs": {"fee_rate": 0.0005, "slippage_rate": 0.0002},
    "sizing": {"kind": "all_in"},
}
STORED = Path(__file__).parent / "stored"
CONSTANTS = derive.constants_of(SPEC, 3600)
HOUR = 3_600_000_000


def signals(prices: list[tuple[float, float]], *, side: int = 1, symbol: str = "KRW-BTC") -> dict[str, list[Any]]:
    """Trades as the engine makes them, all cash in each, in plain arithmetic; the last one stays open."""
    fee_rate, slip, cash = 0.0005, 0.0002, 10_000.0
    columns: dict[str, list[Any]] = {name: [] for name in SYMBOL_SIGNALS.names}
    for number, (bought, sold) in enumerate(prices):
        still_open = number == len(prices) - 1
        entry, out = bought * (1.0 + side * slip), sold * (1.0 - side * slip)
        quantity = cash / (entry * (1.0 + fee_rate))
        fee, slippage = fee_rate * quantity * entry, quantity * abs(entry - bought)
        cash -= side * quantity * entry + fee
        value = sold if still_open else out
        if not still_open:
            fee_out = fee_rate * quantity * out
            fee, slippage = fee + fee_out, slippage + quantity * abs(out - sold)
            cash += side * quantity * out - fee_out
        pnl = side * (value - entry) * quantity - fee
        row = {
            "symbol": symbol, "signal_index": number, "timestamp": number * 5 * HOUR,
            "type": "buy" if side > 0 else "sell", "entry_price": entry, "exit_price": None if still_open else out,
            "quantity": quantity, "return_pct": pnl / (quantity * entry) * 100.0, "hold_bars": 3, "fee_amount": fee,
            "slippage_amount": slippage, "status": "open" if still_open else "closed",
            "exit_timestamp": None if still_open else (number * 5 + 3) * HOUR, "pnl": pnl,
            "exit_reason": "signal", "mae_pct": -1.0, "mfe_pct": 2.0,
        }  # fmt: skip
        for name, value_of_row in row.items():
            columns[name].append(value_of_row)
    return columns


def table(schema: pa.Schema, *parts: dict[str, list[Any]]) -> pa.Table:
    return pa.concat_tables([pa.table(part, schema=schema) for part in parts])


def curve(equity: list[float], symbol: str = "KRW-BTC") -> dict[str, list[Any]]:
    peaks = np.maximum.accumulate(np.maximum(equity, 10_000.0))
    return {
        "symbol": [symbol] * len(equity),
        "idx": list(range(len(equity))),
        "timestamp": [number * HOUR for number in range(len(equity))],
        "equity": equity,
        "drawdown": ((1.0 - np.array(equity) / peaks) * 100.0).tolist(),
        "cumulative_pnl": [value - 10_000.0 for value in equity],
        "cumulative_pnl_pct": [(value - 10_000.0) / 10_000.0 * 100.0 for value in equity],
    }


def assert_there_and_back(name: str, given: pa.Table, constants: dict[str, float] = CONSTANTS) -> derive.Notes:
    """Leave out, give back, compare every bit, of all columns and of each by itself; the notes."""
    kept, notes = derive.leave_out(name, given, constants)
    assert same_bits(derive.give_back(name, kept, SCHEMAS[name], notes), given)
    for column in given.column_names:
        schema = pa.schema([SCHEMAS[name].field(column)])
        few = kept.select(derive.stored_columns(name, [column], notes))
        assert same_bits(derive.give_back(name, few, schema, notes), given.select([column]))
    return notes


prices = st.lists(st.tuples(*[st.integers(1, 10**8).map(lambda cents: cents / 100)] * 2), min_size=1, max_size=60)


@given(one=prices, other=prices, side=st.sampled_from([1, -1]))
@settings(deadline=None, max_examples=60)
def test_trades_of_the_engine_need_seven_columns_less(
    one: list[tuple[float, float]], other: list[tuple[float, float]], side: int
) -> None:
    parts = signals(one, side=side), signals(other, side=side, symbol="KRW-ETH")
    notes = assert_there_and_back("symbol_signals", table(SYMBOL_SIGNALS, *parts))
    assert {"signal_index", "fee_amount", "pnl", "return_pct", "exit_timestamp"} <= set(notes)


def test_all_that_can_be_left_out_is() -> None:
    random = np.random.default_rng(3)
    given = np.round(random.uniform(100, 200, (500, 2)), 2).tolist()
    notes = assert_there_and_back(
        "symbol_signals", table(SYMBOL_SIGNALS, signals(given), signals(given, symbol="KRW-ETH"))
    )
    assert set(notes) == set(FORMULAS["symbol_signals"])
    assert [row for row, _ in notes["pnl"]["odd_rows"]] == [499, 999], "the open trades, valued at the last close"
    assert notes["slippage_amount"]["constants"] == {"slippage_rate": 0.0002, "decimals": 2.0}


@given(st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=60), st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=9))
@settings(deadline=None, max_examples=60)
def test_the_curve_needs_equity_alone(one: list[float], other: list[float]) -> None:
    notes = assert_there_and_back("performance_curve", table(PERFORMANCE_CURVE, curve(one), curve(other, "KRW-ETH")))
    assert set(notes) == set(FORMULAS["performance_curve"])
    assert not any(note["odd_rows"] for note in notes.values())


@given(st.integers(0, 40), st.integers(0, 5), st.sampled_from([CONSTANTS, {}]))
@settings(deadline=None, max_examples=60)
def test_any_other_values_come_back_too(rows: int, seed: int, constants: dict[str, float]) -> None:
    for name, given_table in tables(rows, symbols=("KRW-BTC", "KRW-ETH"), seed=seed).by_name().items():
        assert_there_and_back(name, given_table, constants)


@given(
    column=st.sampled_from(sorted(FORMULAS["performance_curve"])),
    changes=st.dictionaries(st.integers(0, 999), st.none() | st.floats(width=64), min_size=1, max_size=12),
)
@settings(deadline=None, max_examples=60)
def test_a_few_odd_rows_are_noted_and_many_are_stored(column: str, changes: dict[int, float | None]) -> None:
    right = curve(np.linspace(9_000, 12_000, 1000).tolist())
    if column == "idx":
        changes = {row: None if value is None else row + 1 for row, value in changes.items()}
    for row, value in changes.items():
        right[column][row] = value
    notes = assert_there_and_back("performance_curve", table(PERFORMANCE_CURVE, right))
    if column in notes:
        assert len(notes[column]["odd_rows"]) <= 8
    else:
        assert len(changes) > 8


def test_rows_of_a_symbol_that_do_not_lie_together() -> None:
    mixed = curve([10_000.0, 11_000.0, 9_000.0] * 20)
    mixed["symbol"] = ["KRW-BTC", "KRW-ETH"] * 30
    assert_there_and_back("performance_curve", table(PERFORMANCE_CURVE, mixed))


def test_negative_zero_and_nan_keep_their_bits() -> None:
    odd = curve([10_000.0] * 20)
    odd["cumulative_pnl"][3] = -0.0
    odd["drawdown"][5] = math.nan
    notes = assert_there_and_back("performance_curve", table(PERFORMANCE_CURVE, odd))
    assert [row for row, _ in notes["cumulative_pnl"]["odd_rows"]] == [3]
    assert [row for row, _ in notes["drawdown"]["odd_rows"]] == [5]


def known() -> dict[str, pa.Table]:
    """The tables that lie in `stored/{version}`, as they were given."""
    sold = [(100.25, 101.5), (99.75, 98.0), (102.5, 110.0)]
    return {
        "symbol_summary": tables(1).symbol_summary,
        "symbol_signals": table(SYMBOL_SIGNALS, signals(sold), signals(sold, side=-1, symbol="KRW-ETH")),
        "performance_curve": table(PERFORMANCE_CURVE, curve([10_000.0, 12_000.0, 9_000.0]), curve([9e3], "KRW-ETH")),
    }


@pytest.mark.parametrize("version", ["1.0", "1.0-formulas-1"])
def test_files_of_every_version_ever_written_are_read(version: str) -> None:
    """The first release stored all columns; the formulas came with the second form of the same schema."""
    for name, made in known().items():
        assert same_bits(result_files.read(STORED / version / f"{name}.parquet"), made)


def write(folder: Path, made: pa.Table) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    result_files.write_table(folder, "performance_curve", made, constants=CONSTANTS)
    return folder / "performance_curve.parquet"


def test_the_file_says_what_was_left_out(tmp_path: Path) -> None:
    made = table(PERFORMANCE_CURVE, curve([10_000.0, 12_000.0, 9_000.0]))
    path = write(tmp_path / "result", made)
    stored = pq.read_table(path)
    assert stored.column_names == ["symbol", "timestamp", "equity"]
    assert b"equity - initial_cash" in stored.schema.metadata[b"coin_hts.left_out"]
    assert same_bits(result_files.read(path), made)
    assert result_files.read(path, columns=["drawdown"]).column_names == ["drawdown"]
    facts = result_files.write_table(path.parent, "performance_curve", made, constants=CONSTANTS)
    assert facts["left_out"]["cumulative_pnl"] == {
        "formula": "equity - initial_cash", "initial_cash": 10_000.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    "left_out",
    ['{"drawdown": {"version": "9", "constants": {}, "odd_rows": []}}', '{"magic": {}}', "not json", '{"drawdown": {}}',
     '{"drawdown": {"version": "1", "constants": {}, "odd_rows": []}}'],
)  # fmt: skip
def test_notes_that_cannot_be_followed_are_damage(tmp_path: Path, left_out: str) -> None:
    path = write(tmp_path / "result", table(PERFORMANCE_CURVE, curve([10_000.0, 12_000.0])))
    notes = {"coin_hts.schema_version": "1.0", "coin_hts.left_out": left_out}
    pq.write_table(pq.read_table(path).replace_schema_metadata(notes), path)
    with pytest.raises(ResultDamaged, match=r"performance_curve\.parquet"):
        result_files.read(path)
