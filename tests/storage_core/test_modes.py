"""Storage modes: each writes what it says, any reads what any other wrote, and a switch under load loses nothing."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import structlog
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from storage_core import backtests, json_read, legacy_document, modes, result_files, result_sides, result_store
from storage_core.backtests import Claim
from storage_core.db import session_scope, utc_now
from storage_core.errors import BadTables, DiskProblem, ResultDamaged, ResultMissing, SettingsError, UnknownSchema
from storage_core.models import Backtest
from storage_core.modes import DUAL_WRITE, JSON_ONLY, MODES, PARQUET_ONLY
from storage_core.reconcile import reconcile
from storage_core.result_store import TABLES, ResultTables
from storage_core.schemas import SCHEMAS
from storage_core.settings import Settings
from tests.storage_core.crashing import MORE_TABLES, started
from tests.storage_core.examples import METADATA, METRICS, claimed, kinds, many_claimed, row, same_bits, tables

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
EVERY = pytest.mark.parametrize("mode", MODES)
JSON_FILES = ["manifest.json", "result.json"]
PARQUET_FILES = sorted(f"{name}.parquet" for name in TABLES)
KILLS = 25
TWO = ("KRW-BTC", "KRW-ETH")


Logged = list[MutableMapping[str, Any]]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Logged]:
    """What the storage logs, whatever another test has configured."""
    with structlog.testing.capture_logs() as entries:
        monkeypatch.setattr(result_sides, "log", structlog.get_logger("storage"))
        yield entries


def in_mode(settings: Settings, mode: str, **changes: Any) -> Settings:
    return replace(settings, result_storage_mode=mode, **changes)


def saved(engine: Engine, settings: Settings, tables: ResultTables, claim: Claim | None = None) -> Backtest:
    """The row of a result, once saved."""
    claim = claim or claimed(engine)
    result_store.save(engine, settings, claim, tables, metrics=METRICS, metadata=METADATA)
    return row(engine, claim.task_id)


def folder_of(settings: Settings, stored: Backtest) -> Path:
    return settings.results_dir / str(stored.parquet_path)


def assert_read_back(settings: Settings, stored: Backtest, expected: ResultTables) -> None:
    for name, table in expected.by_name().items():
        read = result_store.read_table(settings, stored, name)
        assert same_bits(read, table), name
        assert read.schema.equals(SCHEMAS[name], check_metadata=True)


def test_the_settings(tmp_path: Path) -> None:
    def given_mode(**environ: str) -> Settings:
        return Settings.from_env({"DATA_DIR": str(tmp_path), **environ})

    assert (given_mode().result_storage_mode, given_mode().parquet_compression) == (PARQUET_ONLY, "zstd")
    for mode in MODES:
        assert given_mode(RESULT_STORAGE_MODE=mode).result_storage_mode == mode
    assert given_mode(RESULT_STORAGE_MODE="postgres-only").result_storage_mode == PARQUET_ONLY
    assert given_mode(PARQUET_COMPRESSION="snappy").parquet_compression == "snappy"
    with pytest.raises(SettingsError, match="'json'; allowed: parquet-only, dual-write, json-only, postgres-only"):
        given_mode(RESULT_STORAGE_MODE="json")
    with pytest.raises(SettingsError, match="'gzip'; allowed: zstd or snappy"):
        given_mode(PARQUET_COMPRESSION="gzip")


@EVERY
def test_what_each_mode_stores(engine: Engine, settings: Settings, mode: str) -> None:
    settings, made = in_mode(settings, mode), tables(200, symbols=TWO)
    stored = saved(engine, settings, made)
    expected = (JSON_FILES if "json" in MODES[mode] else []) + (PARQUET_FILES if "parquet" in MODES[mode] else [])
    files = {path.name: path.stat().st_size for path in folder_of(settings, stored).iterdir()}
    assert sorted(files) == sorted(["metadata.json", *expected])
    assert stored.file_size == sum(files.values()) - files["metadata.json"]
    assert stored.stores == modes.named(MODES[mode])
    assert (stored.status, stored.record_count, stored.sharpe) == ("completed", 200, 1.25)
    assert (stored.metadata_["metrics"], stored.sparkline) == (METRICS, METADATA["sparkline"])
    assert stored.metadata_["schema_version"] == "1.0"
    assert ("compression" in stored.metadata_) == ("parquet" in MODES[mode])
    assert "missing" not in stored.metadata_
    assert kinds(engine, stored.task_id) == ["submitted", "claimed", "completed"]
    assert not reconcile(engine, settings, deep=True).damaged
    for reading in MODES:
        assert_read_back(in_mode(settings, reading), stored, made)


@SQLITE
@pytest.mark.parametrize("rows", [0, 1, 9_999, 10_000, 10_001, 25_000])
def test_json_of_any_length(engine: Engine, settings: Settings, rows: int) -> None:
    settings, made = in_mode(settings, JSON_ONLY), tables(rows, symbols=(*TWO, "KRW-XRP"))
    stored = saved(engine, settings, made)
    assert_read_back(settings, stored, made)
    part = result_store.read_table(settings, stored, "symbol_signals", columns=["pnl", "status"], symbol="KRW-ETH")
    whole = made.symbol_signals.filter(pa.compute.equal(made.symbol_signals["symbol"], "KRW-ETH"))
    assert same_bits(part.combine_chunks(), whole.select(["pnl", "status"]).combine_chunks())
    only = result_store.read_table(settings, stored, "performance_curve", columns=["symbol"])
    assert only.equals(made.performance_curve.select(["symbol"]))


@SQLITE
@given(
    floats=st.lists(st.none() | st.floats(width=64), min_size=1, max_size=30),
    whole=st.lists(st.none() | st.integers(-(2**31), 2**31 - 1), min_size=30, max_size=30),
    times=st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=30, max_size=30),
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_json_gives_any_values_back(
    engine: Engine, settings: Settings, floats: list[float | None], whole: Any, times: Any, text: str
) -> None:
    def column(field: pa.Field, count: int) -> pa.Array:
        if pa.types.is_string(field.type):
            return pa.array([text] * count)
        if pa.types.is_timestamp(field.type):
            return pa.array(times[:count], pa.int64()).cast(field.type)
        return pa.array(floats[:count] if pa.types.is_floating(field.type) else whole[:count], field.type)

    def table(name: str, count: int) -> pa.Table:
        return pa.table([column(field, count) for field in SCHEMAS[name]], schema=SCHEMAS[name])

    made = ResultTables(**{name: table(name, 1 if name == "symbol_summary" else len(floats)) for name in SCHEMAS})
    stored = saved(engine, in_mode(settings, JSON_ONLY), made)
    assert_read_back(settings, stored, made)
    text_of_it = (folder_of(settings, stored) / "result.json").read_text(encoding="utf-8")
    json.loads(text_of_it, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))


@SQLITE
def test_the_json_is_a_legacy_result(engine: Engine, settings: Settings) -> None:
    """What the migration would read from it are the same tables: the fuller shape of the legacy layout."""
    made = plain_tables()
    stored = saved(engine, in_mode(settings, JSON_ONLY), made)
    document = json.loads((folder_of(settings, stored) / "result.json").read_bytes())
    converted = legacy_document.to_tables(document)
    assert converted.shape == "full"
    for name, table in made.by_name().items():
        assert same_bits(converted.tables.by_name()[name], table), name
    assert (document["version"], document["timeframe"], document["total_signals"]) == ("1.1.0", "1H", 40)
    beside = json.loads((folder_of(settings, stored) / "manifest.json").read_bytes())
    assert (beside["task_id"], beside["status"]) == (str(stored.task_id), "completed")
    assert beside["result_files"][0]["size_bytes"] == stored.metadata_["files"]["result"]["bytes"]


def plain_tables() -> ResultTables:
    """Two symbols, forty trades, no value that JSON cannot spell and no type that the legacy system did not know."""
    made = tables(40, symbols=TWO, seed=3)
    plain = {}
    for name, table in made.by_name().items():
        columns = {}
        for field in table.schema:
            column = table[field.name]
            if pa.types.is_floating(field.type):
                column = pa.array([abs(index) / 7 for index in range(len(column))])
            elif field.name in ("type", "status"):
                column = pa.array([("buy" if field.name == "type" else "closed")] * len(column))
            elif field.name in ("signal_index", "idx"):
                column = pa.array([index % 20 for index in range(len(column))], field.type)
            columns[field.name] = column
        plain[name] = pa.table(columns, schema=table.schema)
    return ResultTables(**plain)


@SQLITE
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda made: {"symbol_summary": pa.concat_tables([made.symbol_summary] * 2)}, "stands in it twice"),
        (lambda made: {"symbol_summary": made.symbol_summary.slice(1)}, "that symbol_summary does not have"),
        (lambda made: {"symbol_signals": made.symbol_signals.take(list(range(199, -1, -1)))}, "not in the order"),
    ],
)
def test_tables_that_json_cannot_hold(
    engine: Engine, settings: Settings, change: Callable[[ResultTables], dict[str, pa.Table]], said: str
) -> None:
    made = tables(200, symbols=TWO)
    claim = claimed(engine)
    with pytest.raises(BadTables, match=said):
        saved(engine, in_mode(settings, DUAL_WRITE), replace(made, **change(made)), claim)
    assert row(engine, claim.task_id).status == "running"
    assert not list(settings.results_dir.rglob("*.json"))


@SQLITE
@pytest.mark.parametrize("compression", modes.COMPRESSIONS)
def test_the_compression(engine: Engine, settings: Settings, compression: str) -> None:
    made = tables(2_000, symbols=TWO)
    stored = saved(engine, replace(settings, parquet_compression=compression), made)
    assert stored.metadata_["compression"] == compression
    with pa.parquet.ParquetFile(folder_of(settings, stored) / "symbol_signals.parquet") as file:
        assert file.metadata.row_group(0).column(0).compression == compression.upper()
    assert_read_back(settings, stored, made)


@SQLITE
def test_parquet_is_preferred_and_json_stands_in(engine: Engine, settings: Settings, logged: Logged) -> None:
    settings, made = in_mode(settings, DUAL_WRITE), tables(200, symbols=TWO)
    stored = saved(engine, settings, made)
    folder = folder_of(settings, stored)
    (folder / "result.json").rename(folder / "aside")
    assert_read_back(settings, stored, made)
    (folder / "aside").rename(folder / "result.json")
    (folder / "symbol_signals.parquet").write_bytes(b"PAR1, but not for long")
    (folder / "performance_curve.parquet").unlink()
    assert logged == []
    assert_read_back(settings, stored, made)
    assert [entry["log_level"] for entry in logged] == ["error", "error"]
    assert stored.task_id in reconcile(engine, settings).damaged, "read all the same, but never hidden"
    flip(folder / "result.json", at=500)
    with pytest.raises(ResultDamaged, match=r"result\.json"):
        result_store.read_table(settings, stored, "symbol_signals")
    (folder / "result.json").unlink()
    with pytest.raises(ResultMissing, match=r"result\.json"):
        result_store.read_table(settings, stored, "symbol_signals")


@SQLITE
@pytest.mark.parametrize("at", [0, 5, 60, 300, 900, 5_000, -3])
def test_any_flipped_bit_of_the_json_is_noticed(engine: Engine, settings: Settings, at: int) -> None:
    stored = saved(engine, in_mode(settings, JSON_ONLY), tables(200, symbols=TWO))
    flip(folder_of(settings, stored) / "result.json", at=at)
    with pytest.raises(ResultDamaged):
        result_store.read_table(settings, stored, "performance_curve")
    assert stored.task_id in reconcile(engine, settings, deep=True).damaged


@SQLITE
def test_json_of_a_later_schema_is_a_clear_error(engine: Engine, settings: Settings) -> None:
    stored = saved(engine, in_mode(settings, JSON_ONLY), tables(5))
    path = folder_of(settings, stored) / "result.json"
    path.write_bytes(path.read_bytes().replace(b'"schema_version":"1.0"', b'"schema_version":"9.7"'))
    digest = result_files.sha256_file(path)
    with pytest.raises(UnknownSchema, match=r"9\.7"):
        json_read.read(path, "symbol_signals", sha256=digest)


def flip(path: Path, *, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def in_the_way(settings: Settings, claim: Claim, name: str) -> Callable[[str], None]:
    """A Parquet file that cannot be written: where it is to be, a link leads nowhere."""

    def on_step(step: str) -> None:
        if step == "begun":
            for staging in (settings.results_dir / ".staging").glob(f"{claim.task_id}.*"):
                (staging / f"{name}.parquet").symlink_to("nowhere/at/all")

    return on_step


@pytest.mark.parametrize("name", TABLES)
def test_dual_write_outlives_a_failing_parquet_side(
    engine: Engine, settings: Settings, logged: Logged, name: str
) -> None:
    settings, made, claim = in_mode(settings, DUAL_WRITE), tables(200, symbols=TWO), claimed(engine)
    result_store.save(
        engine, settings, claim, made, metrics=METRICS, metadata=METADATA, on_step=in_the_way(settings, claim, name)
    )
    assert [(entry["log_level"], entry["task_id"]) for entry in logged] == [("error", str(claim.task_id))]
    stored = row(engine, claim.task_id)
    assert (stored.status, stored.stores, stored.record_count) == ("completed", "json", 200)
    assert "No such file" in stored.metadata_["missing"]["parquet"]
    assert kinds(engine, claim.task_id)[-2:] == ["completed", "side_missing"]
    assert sorted(path.name for path in folder_of(settings, stored).iterdir()) == sorted(["metadata.json", *JSON_FILES])
    assert_read_back(settings, stored, made)
    assert not reconcile(engine, settings, deep=True).damaged


@SQLITE
def test_parquet_only_fails_and_is_retried(engine: Engine, settings: Settings) -> None:
    made, claim = tables(200), claimed(engine)
    with pytest.raises(DiskProblem) as caught:
        result_store.save(
            engine,
            settings,
            claim,
            made,
            metrics=METRICS,
            metadata=METADATA,
            on_step=in_the_way(settings, claim, "symbol_signals"),
        )
    assert not caught.value.permanent
    assert row(engine, claim.task_id).status == "running"
    assert_read_back(settings, saved(engine, settings, made, claim), made)


JSON_MODES = [(mode, step) for mode in (DUAL_WRITE, JSON_ONLY) for step in result_store.steps(mode)]


@pytest.mark.parametrize(("mode", "step"), JSON_MODES)
def test_killed_after_a_step(engine: Engine, settings: Settings, mode: str, step: str) -> None:
    """kill -9, the mode is changed, and the rest of the house goes on in the new one."""
    settings, claim, made = in_mode(settings, mode), claimed(engine), tables()
    worker = started(settings, claim, step=step)
    worker.join()
    assert worker.exitcode == -9
    worker.close()
    other, later = in_mode(settings, PARQUET_ONLY), utc_now() + timedelta(minutes=1)
    planned = reconcile(engine, other, now=later, dry_run=True)
    assert planned == reconcile(engine, other, now=later)
    before_the_move = result_store.steps(mode)[: result_store.steps(mode).index("moved")]
    if step in before_the_move:
        assert len(planned.staging_removed) == 1
        with session_scope(engine) as session:
            backtests.requeue_lost(session, now=later)
        stored = saved(engine, other, made, claimed(engine, claim.task_id))
        assert stored.stores == "parquet"
    else:
        stored = row(engine, claim.task_id)
        assert (stored.status, stored.stores) == ("completed", modes.named(MODES[mode]))
    assert_read_back(other, stored, made)
    again = reconcile(engine, other, now=later, deep=True)
    assert (again.changed, again.damaged, again.busy) == (False, {}, [])


@SQLITE
@pytest.mark.parametrize("mode", [DUAL_WRITE, JSON_ONLY])
def test_killed_at_any_moment(engine: Engine, settings: Settings, mode: str) -> None:
    """Whatever was acknowledged is whole, and what the kill left is adopted or removed."""
    settings, moments, longest = in_mode(settings, mode), random.Random(), 0.0  # noqa: S311
    claims = many_claimed(engine, 2 * KILLS)
    for kill in range(KILLS):
        started_at = time.perf_counter()
        worker = started(settings, *claims[2 * kill : 2 * kill + 2])
        if kill:
            time.sleep(moments.uniform(0, longest))
            worker.kill()
        worker.join()
        worker.close()
        longest = longest or time.perf_counter() - started_at
    report = reconcile(engine, settings, now=utc_now() + timedelta(minutes=1))
    assert (report.damaged, report.trashed) == ({}, {})
    completed = [stored for claim in claims if (stored := row(engine, claim.task_id)).status == "completed"]
    assert len(completed) >= 2
    for stored in completed:
        assert stored.stores == modes.named(MODES[mode])
        assert_read_back(settings, stored, MORE_TABLES)
    kept = sorted(path.name for path in (settings.results_dir / "backtests").iterdir())
    assert kept == sorted(str(stored.task_id) for stored in completed)
    assert list((settings.results_dir / ".staging").iterdir()) == []


def test_switching_while_workers_save_loses_nothing(engine: Engine, settings: Settings) -> None:
    """Each worker changes its mode from save to save, as workers that are started again one after the other do."""
    claims, wanted = many_claimed(engine, 24), {}
    order = [PARQUET_ONLY, DUAL_WRITE, JSON_ONLY, DUAL_WRITE]
    together = threading.Barrier(3)

    def work(worker: int) -> None:
        together.wait(timeout=120)
        for number, claim in enumerate(claims[worker::3]):
            made = tables(300, symbols=TWO, seed=worker * 100 + number)
            wanted[claim.task_id] = (order[number % 4], made)
            saved(engine, in_mode(settings, order[number % 4]), made, claim)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    for task_id, (mode, made) in wanted.items():
        stored = row(engine, task_id)
        assert (stored.status, stored.stores) == ("completed", modes.named(MODES[mode]))
        assert_read_back(settings, stored, made)
    assert len(wanted) == 24
    report = reconcile(engine, settings, deep=True)
    assert (report.changed, report.damaged, report.busy) == (False, {}, [])
