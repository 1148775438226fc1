"""Each shape and each trap of the legacy files: what is stored, in which unit, and that it comes back exactly."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine

from storage_core import result_store
from storage_core.legacy_document import exactly
from storage_core.models import Backtest
from storage_core.reconcile import reconcile
from storage_core.settings import Settings
from tests.storage_core.legacy import (
    BASIC,
    SAMPLES,
    SHARED,
    a_copy,
    assert_comes_back,
    comparable,
    files,
    only,
    rows,
    run,
    sample,
)


def numbered(number: int) -> UUID:
    return UUID(f"0000000{number}-1e9a-4c7e-8a11-5eed0000000{number}")


def table(settings: Settings, row: Backtest, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = result_store.read_table(settings, row, name).to_pylist()
    return found


@pytest.fixture
def migrated(engine: Engine, settings: Settings, tmp_path: Path) -> dict[UUID, Backtest]:
    """All samples, migrated."""
    report = run(settings, a_copy(tmp_path / "legacy"))
    assert (report.migrated, report.failures, report.doubts) == (8, [], [])
    return rows(engine)


def test_every_sample_comes_back_byte_for_byte_and_its_files_are_in_the_backups(
    engine: Engine, settings: Settings, migrated: dict[UUID, Backtest], tmp_path: Path
) -> None:
    originals, legacy = files(SAMPLES), tmp_path / "legacy"
    assert_comes_back(settings, originals, tmp_path / "back", legacy / "backups")
    assert files(legacy) == {}
    assert (legacy / "results" / "index.json").is_file()
    kept = {path.parent.name for path in (legacy / "backups").rglob("*.json")}
    assert kept == {str(task_id) for task_id in migrated}
    assert not reconcile(engine, settings, deep=True).changed
    assert reconcile(engine, settings, deep=True).damaged == {}


def test_the_row_says_what_was_asked_and_when(migrated: dict[UUID, Backtest]) -> None:
    row = migrated[numbered(1)]
    assert (row.strategy, row.timeframe, row.status, row.source) == ("volume_long_candle", "1m", "completed", "legacy")
    assert row.symbols == ["KRW-DOGE", "KRW-BTC", "KRW-ETH"]
    assert (row.start_date, row.end_date) == (date(2025, 9, 8), date(2025, 9, 10))
    assert row.params == {"vol_ma_window": 20, "vol_multiplier": 1.5, "body_pct": 0.003, "hold_period_bars": 3}
    assert row.created_at == row.finished_at == datetime(2026, 11, 20, 10, 25, 26, 915436, UTC)
    assert row.started_at == datetime(2026, 11, 20, 10, 25, 26, 879549, UTC)
    assert (row.record_count, row.trade_count, row.legacy_sha256) == (7, 7, files(SAMPLES)[row_path(1)])


def row_path(number: int) -> str:
    return f"tasks/{numbered(number)}/result.json"


def test_fractions_become_percent_and_what_is_missing_stays_null(
    settings: Settings, migrated: dict[UUID, Backtest]
) -> None:
    row = migrated[BASIC]
    document = json.loads((SAMPLES / "results" / f"{BASIC}.json").read_bytes())["symbols"][0]
    (summary,) = table(settings, row, "symbol_summary")
    assert summary["win_rate"] == document["win_rate"] * 100 == 50.0
    assert (summary["avg_return"], summary["max_drawdown"]) == (document["avg_return"], document["max_drawdown"])
    assert (summary["total_signals"], summary["winning_signals"], summary["losing_signals"]) == (4, 2, 1)
    assert (summary["total_pnl"], summary["total_pnl_pct"]) == (None, None)
    for index, (stored, was) in enumerate(
        zip(table(settings, row, "symbol_signals"), document["signals"], strict=True)
    ):
        assert stored["return_pct"] == was["return_pct"] * 100
        assert (stored["entry_price"], stored["exit_price"]) == (was["entry_price"], was["exit_price"])
        assert stored["timestamp"] == datetime.fromisoformat(was["timestamp"])
        assert (stored["type"], stored["status"], stored["signal_index"]) == ("buy", "closed", index)
        unknown = ("quantity", "hold_bars", "fee_amount", "slippage_amount", "exit_timestamp", "pnl", "exit_reason")
        assert [stored[name] for name in unknown] == [None] * 7


def test_the_curve_keeps_equal_dates_null_drawdown_and_its_factor(
    settings: Settings, migrated: dict[UUID, Backtest]
) -> None:
    curve = table(settings, migrated[BASIC], "performance_curve")
    assert [point["timestamp"] for point in curve] == [datetime(2024, 6, 29, tzinfo=UTC)] * 4
    assert [point["drawdown"] for point in curve] == [None] * 4
    assert [point["cumulative_pnl"] for point in curve] == [None] * 4
    assert curve[-1]["equity"] == pytest.approx(1.0042871738)
    assert migrated[BASIC].total_return_pct == (curve[-1]["equity"] - 1) * 100
    assert (migrated[BASIC].final_equity, migrated[BASIC].sharpe, migrated[BASIC].max_drawdown_pct) == (None,) * 3


def test_other_spellings_of_symbols_and_an_old_file_without_version(
    settings: Settings, migrated: dict[UUID, Backtest]
) -> None:
    old, mixed = migrated[numbered(4)], migrated[numbered(5)]
    assert (old.symbols, old.timeframe) == (["KRW-BTC"], "1d")
    assert (mixed.symbols, mixed.timeframe) == (["USDT-BTC", "KRW-XRP"], "1h")
    assert mixed.metadata_["legacy"]["symbols"] == {"USDT-BTC": "BTC/USDT", "KRW-XRP": "KRW-XRP"}
    assert old.metadata_["legacy"]["created_at_from"] == "file"
    assert {row["symbol"] for row in table(settings, old, "symbol_signals")} == {"KRW-BTC"}


def test_the_full_shape_is_known_by_its_keys_and_keeps_its_percent(
    settings: Settings, migrated: dict[UUID, Backtest]
) -> None:
    row = migrated[numbered(6)]
    (summary,) = table(settings, row, "symbol_summary")
    assert (summary["win_rate"], summary["total_pnl"], summary["total_signals"]) == (100.0, 50.1, 2)
    closed, still_open = table(settings, row, "symbol_signals")
    assert (closed["return_pct"], closed["quantity"], closed["hold_bars"], closed["fee_amount"]) == (
        1.0,
        0.0022,
        3,
        9.9,
    )
    assert (still_open["exit_price"], still_open["hold_bars"], still_open["status"]) == (None, None, "open")
    assert [point["drawdown"] for point in table(settings, row, "performance_curve")] == [0.0, 0.0, 0.36877]
    assert (row.total_return_pct, row.max_drawdown_pct, row.final_equity) == (0.501, 0.36877, 10050.1)


def test_small_percent_in_the_full_shape_is_not_taken_for_a_fraction(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    def tiny(document: dict[str, Any]) -> None:
        document["symbols"][0] |= {"total_signals": 4, "win_rate": 0.5}

    assert run(settings, only(tmp_path / "legacy", sample(tiny))).failures == []
    assert table(settings, rows(engine)[BASIC], "symbol_summary")[0]["win_rate"] == 0.5


def test_no_signals_and_no_curve(settings: Settings, migrated: dict[UUID, Backtest]) -> None:
    row = migrated[numbered(7)]
    assert table(settings, row, "symbol_signals") == table(settings, row, "performance_curve") == []
    assert [entry["win_rate"] for entry in table(settings, row, "symbol_summary")] == [0.0, 0.0, None]
    assert (row.trade_count, row.win_rate_pct, row.total_return_pct) == (0, None, None)


def test_a_task_that_failed_is_a_row_with_its_reason(migrated: dict[UUID, Backtest]) -> None:
    row = migrated[numbered(2)]
    assert (row.status, row.error_code) == ("failed", "legacy_failed")
    assert row.error_message == "no bars for KRW-BTC between the dates"
    assert (row.symbols, row.parquet_path) == (["KRW-BTC", "KRW-ETH"], None)


def test_rows_out_of_order_are_sorted_and_odd_spellings_understood(
    settings: Settings, migrated: dict[UUID, Backtest]
) -> None:
    signals = table(settings, migrated[numbered(8)], "symbol_signals")
    assert [row["timestamp"].isoformat() for row in signals] == [
        "2024-05-01T00:00:00+00:00",
        "2024-05-01T12:30:00.250000+00:00",
        "2024-05-02T01:00:00+00:00",
    ]
    assert [row["entry_price"] for row in signals] == [101.0, 100.0, 100.0]
    assert [row["type"] for row in signals] == ["buy", "buy", "sell"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_result_of_the_old_system_comes_back_byte_for_byte(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"there are no results of the old system in {SHARED}")
    legacy, originals = a_copy(tmp_path / "legacy", SHARED), files(SHARED)
    planned = run(settings, legacy, dry_run=True)
    assert files(legacy) == originals
    report = run(settings, legacy)
    assert comparable(report) == comparable(planned)
    assert (report.failed, report.doubts) == (0, [])
    assert report.migrated == len([path for path in originals if not path.endswith("manifest.json")])
    assert_comes_back(settings, originals, tmp_path / "back", legacy / "backups")
    for path in originals:
        parsed = [json.loads((folder / path).read_bytes()) for folder in (SHARED, tmp_path / "back")]
        assert exactly(parsed[0]) == exactly(parsed[1])
    for row in rows(engine).values():
        _assert_values(settings, row)


def _assert_values(settings: Settings, row: Backtest) -> None:
    """Every value of the tables against the file, one by one, written down without the code under test."""
    layout = f"{'tasks' if row.metadata_['legacy']['layout'] == 'tasks' else 'results'}"
    path = SHARED / layout / (f"{row.task_id}/result.json" if layout == "tasks" else f"{row.task_id}.json")
    document = json.loads(path.read_bytes())
    signals, curve = table(settings, row, "symbol_signals"), table(settings, row, "performance_curve")
    summary = {entry["symbol"]: entry for entry in table(settings, row, "symbol_summary")}
    for entry in document["symbols"]:
        own = [signal for signal in signals if signal["symbol"] == entry["symbol"]]
        assert [(s["entry_price"], s["exit_price"], s["return_pct"], s["type"]) for s in own] == [
            (s["entry_price"], s["exit_price"], s["return_pct"] * 100.0, s["type"]) for s in entry["signals"]
        ]
        assert [s["timestamp"].strftime("%Y-%m-%dT%H:%M:%S") for s in own] == [
            s["timestamp"][:19] for s in entry["signals"]
        ]
        points = [point for point in curve if point["symbol"] == entry["symbol"]]
        assert [(p["timestamp"].strftime("%Y-%m-%d"), p["equity"], p["drawdown"]) for p in points] == [
            (p["timestamp"], p["equity"], p["drawdown"]) for p in entry["performance_curve"] or []
        ]
        stored = summary[entry["symbol"]]
        assert stored["win_rate"] == entry["win_rate"] * 100.0
        for name in ("avg_return", "max_drawdown", "avg_hold_bars"):
            assert stored[name] == entry[name]
