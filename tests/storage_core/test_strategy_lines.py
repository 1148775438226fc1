"""The lines of people's own strategies: stored beside a result in every mode, and looked after like its other files."""

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, delete

from storage_core import backtests, backup, result_store, strategy_lines
from storage_core.backtest_keeping import UNDO_FOR, purge
from storage_core.backtest_keeping import delete as delete_result
from storage_core.backup_store import backup_store
from storage_core.chosen import Choice
from storage_core.db import session_scope, utc_now
from storage_core.errors import BadTables, ResultDamaged, ResultMissing
from storage_core.export import export
from storage_core.models import Backtest
from storage_core.modes import DUAL_WRITE, JSON_ONLY, LINES, MODES, PARQUET_ONLY, file_name
from storage_core.reconcile import reconcile
from storage_core.repair import repair
from storage_core.restore import Target, restore
from storage_core.result_store import ResultTables
from storage_core.schemas import LINE_COLUMNS, lines_schema
from storage_core.settings import Settings
from storage_core.verify import verify
from tests.s3 import emptied, s3_server
from tests.storage_core.examples import METADATA, METRICS, claimed, kinds, queued, row, same_bits
from tests.storage_core.installation import client_programs, empty_database
from tests.storage_core.sound import SPEC, sound_tables

__all__ = ["client_programs", "empty_database"]

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
SYMBOLS = ["KRW-BTC", "KRW-ETH"]
NAMED = [
    {"label": "Mean 20", "pane": "price", "faint": False},
    {"label": "=cmd|' /C calc'!A0", "pane": "below", "faint": True},
]
TABLES = sound_tables(symbols=SYMBOLS, trades=4, bars=30)
FILE = file_name(LINES)


def lines_of(tables: ResultTables) -> pa.Table:
    """Two lines over the bars of the equity curve, with values of every kind."""
    curve = tables.performance_curve
    random = np.random.default_rng(3)
    values = random.normal(size=(2, curve.num_rows))
    values[:, :3] = [-0.0, 5e-324, 1e300]
    columns = [pa.array(one, mask=np.arange(curve.num_rows) % 30 < 5) for one in values]
    return pa.table([curve["symbol"], curve["timestamp"], *columns], schema=lines_schema(2))


DRAWN = lines_of(TABLES)
WITH_LINES = replace(TABLES, strategy_lines=DRAWN)


def saved(engine: Engine, settings: Settings, mode: str = PARQUET_ONLY, **changes: Any) -> Backtest:
    claim = claimed(engine, queued(engine, **{**SPEC, "symbols": SYMBOLS}))
    metadata: Mapping[str, Any] = {**METADATA, "lines": {"drawn": NAMED, "problem": ""}}
    settings = replace(settings, result_storage_mode=mode)
    result_store.save(engine, settings, claim, WITH_LINES, metrics=METRICS, metadata=metadata, **changes)
    return row(engine, claim.task_id)


def path_of(settings: Settings, stored: Backtest) -> Path:
    return settings.results_dir / str(stored.parquet_path) / FILE


def read(settings: Settings, stored: Backtest, **chosen: Any) -> pa.Table:
    table = result_store.read_lines(settings, stored, **chosen)
    assert table is not None
    return table


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("mode", MODES)
def test_they_are_stored_and_read_in_every_mode(engine: Engine, settings: Settings, mode: str) -> None:
    stored = saved(engine, settings, mode)
    assert same_bits(read(settings, stored), DRAWN)
    ether = read(settings, stored, symbol="KRW-ETH")
    assert same_bits(ether, DRAWN.slice(30))
    facts = stored.metadata_["files"][LINES]
    assert (facts["rows"], facts["bytes"]) == (60, path_of(settings, stored).stat().st_size)
    assert stored.file_size == sum(one["bytes"] for one in stored.metadata_["files"].values())
    assert "lines_missing" not in kinds(engine, stored.task_id)
    report = verify(engine, settings, Choice())
    assert (report.findings, report.files) == ([], len(stored.metadata_["files"]))
    assert not reconcile(engine, settings, deep=True).damaged
    assert repair(engine, replace(settings, result_storage_mode=mode), deep=True).repaired == {}


@SQLITE
def test_the_file_says_what_its_columns_are(engine: Engine, settings: Settings) -> None:
    table = pq.read_table(path_of(settings, saved(engine, settings)))
    assert table.column_names == [*LINE_COLUMNS, "line_1", "line_2"]
    named = json.loads(table.schema.metadata[b"coin_hts.lines"])
    assert named == [{"column": f"line_{number}", **line} for number, line in enumerate(NAMED, start=1)]


@SQLITE
def test_a_result_without_lines_has_none(engine: Engine, settings: Settings) -> None:
    claim = claimed(engine)
    result_store.save(engine, settings, claim, TABLES, metrics=METRICS, metadata=METADATA)
    assert result_store.read_lines(settings, row(engine, claim.task_id)) is None


@SQLITE
@pytest.mark.parametrize(
    ("table", "named", "says"),
    [
        (None, NAMED, "names 2 lines, there are none"),
        (DRAWN, NAMED[:1], "must be those of 1 lines"),
        (DRAWN.set_column(2, "line_1", pa.array(range(60))), NAMED, "must be those of 2 lines"),
        (DRAWN.set_column(0, "symbol", pa.nulls(60, pa.string())), NAMED, "without a symbol"),
    ],
)
def test_tables_that_are_no_lines_are_refused(
    engine: Engine, settings: Settings, table: pa.Table | None, named: list[dict[str, Any]], says: str
) -> None:
    claim, metadata = claimed(engine), {**METADATA, "lines": {"drawn": named, "problem": ""}}
    with pytest.raises(BadTables, match=says):
        result_store.save(
            engine, settings, claim, replace(TABLES, strategy_lines=table), metrics=METRICS, metadata=metadata
        )
    assert not list(settings.results_dir.glob("backtests/*"))


@SQLITE
def test_why_there_are_none_stands_in_the_log(engine: Engine, settings: Settings) -> None:
    claim, metadata = claimed(engine), {**METADATA, "lines": {"drawn": [], "problem": "lines failed: KeyError: 'n'"}}
    result_store.save(engine, settings, claim, TABLES, metrics=METRICS, metadata=metadata)
    with session_scope(engine) as session:
        event = list(backtests.events(session, claim.task_id))[-1]
    assert (event.kind, event.detail["message"]) == ("lines_missing", "lines failed: KeyError: 'n'")
    assert row(engine, claim.task_id).status == "completed"


@SQLITE
@pytest.mark.parametrize("mode", [DUAL_WRITE, JSON_ONLY])
def test_once_the_json_is_there_lines_that_cannot_be_written_are_left_out(
    engine: Engine, settings: Settings, mode: str
) -> None:
    def in_the_way(step: str) -> None:
        if step == "begun":
            (next((settings.results_dir / ".staging").iterdir()) / FILE).symlink_to("nowhere/at/all")

    stored = saved(engine, settings, mode, on_step=in_the_way)
    assert LINES not in stored.metadata_["files"]
    assert "they could not be stored: " in strategy_lines.problem(stored.metadata_)
    assert kinds(engine, stored.task_id)[-1] == "lines_missing"
    assert not path_of(settings, stored).is_symlink()
    assert (verify(engine, settings, Choice()).findings, result_store.read_lines(settings, stored)) == ([], None)


@SQLITE
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", ["flipped", "gone"])
def test_what_is_damaged_is_named_and_repair_gives_it_up(
    engine: Engine, settings: Settings, mode: str, how: str
) -> None:
    stored, settings = saved(engine, settings, mode), replace(settings, result_storage_mode=mode)
    path = path_of(settings, stored)
    flip(path) if how == "flipped" else path.unlink()
    [finding] = verify(engine, settings, Choice()).findings
    assert finding.path == str(path)
    assert FILE in reconcile(engine, settings, deep=True).damaged[stored.task_id]
    with pytest.raises(ResultDamaged if how == "flipped" else ResultMissing, match=FILE):
        read(settings, stored)
    done = repair(engine, settings, deep=True)
    assert "lines of the strategy given up" in done.repaired[stored.task_id]
    fixed = row(engine, stored.task_id)
    assert (fixed.revision, strategy_lines.problem(fixed.metadata_)) == (2, strategy_lines.LOST)
    assert result_store.read_lines(settings, fixed) is None
    for name, table in TABLES.by_name().items():
        assert same_bits(result_store.read_table(settings, fixed, name), table)
    reconcile(engine, settings, now=utc_now() + timedelta(minutes=1))
    assert verify(engine, settings, Choice()).findings == []
    assert repair(engine, settings, deep=True).repaired == {}


@SQLITE
@pytest.mark.parametrize(("before", "after"), [(PARQUET_ONLY, JSON_ONLY), (JSON_ONLY, DUAL_WRITE)])
def test_a_switch_of_the_mode_takes_them_along(engine: Engine, settings: Settings, before: str, after: str) -> None:
    stored = saved(engine, settings, before)
    after_settings = replace(settings, result_storage_mode=after)
    assert list(repair(engine, after_settings, remove_other=True).repaired) == [stored.task_id]
    assert same_bits(read(after_settings, row(engine, stored.task_id)), DRAWN)
    reconcile(engine, after_settings, now=utc_now() + timedelta(minutes=1))
    assert verify(engine, after_settings, Choice()).findings == []


@SQLITE
def test_other_bars_than_those_of_the_result_are_found(engine: Engine, settings: Settings) -> None:
    claim = claimed(engine, queued(engine, **{**SPEC, "symbols": SYMBOLS}))
    metadata = {**METADATA, "lines": {"drawn": NAMED, "problem": ""}}
    fewer = replace(TABLES, strategy_lines=DRAWN.slice(1))
    result_store.save(engine, settings, claim, fewer, metrics=METRICS, metadata=metadata)
    [finding] = verify(engine, settings, Choice()).findings
    assert finding.problem == "it has 59 bars, performance_curve has 60"


@SQLITE
def test_a_row_that_the_database_lost_comes_back_with_its_lines(engine: Engine, settings: Settings) -> None:
    stored = saved(engine, settings)
    with session_scope(engine) as session:
        session.execute(delete(Backtest).where(Backtest.task_id == stored.task_id))
    assert reconcile(engine, settings, now=utc_now() + timedelta(minutes=1)).adopted == [stored.task_id]
    assert same_bits(read(settings, row(engine, stored.task_id)), DRAWN)


@SQLITE
def test_they_go_with_their_result(engine: Engine, settings: Settings) -> None:
    stored = saved(engine, settings)
    with session_scope(engine) as session:
        delete_result(session, stored.task_id, by="ada")
    purge(engine, settings, now=utc_now() + UNDO_FOR + timedelta(hours=1))
    assert not path_of(settings, stored).exists()


@SQLITE
def test_exports_call_each_column_by_its_label(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    stored = saved(engine, settings)
    for form in ("csv", "parquet"):
        assert export(engine, settings, Choice(), tmp_path / form, form=form).failures == {}
    labels = [line["label"] for line in NAMED]
    table = pq.read_table(tmp_path / "parquet" / str(stored.task_id) / FILE)
    assert table.column_names == [*LINE_COLUMNS, *labels]
    assert same_bits(table.rename_columns(DRAWN.column_names).cast(DRAWN.schema), DRAWN)
    with (tmp_path / "csv" / str(stored.task_id) / f"{LINES}.csv").open(newline="") as file:
        first, second, *_ = csv.reader(file)
    assert first == [*LINE_COLUMNS, "Mean 20", f"'{labels[1]}"], "no spreadsheet runs a label"
    assert second[0] == "KRW-BTC"


@SQLITE
def test_a_backup_brings_them_back(engine: Engine, settings: Settings, tmp_path: Path, empty_database: str) -> None:
    stored = saved(engine, settings)
    assert backup.create(engine, settings).problems == ()
    folder = tmp_path / "restored"
    restore(backup_store(settings), "latest", Target(folder=folder, database_url=empty_database))
    assert same_bits(read(replace(settings, data_dir=folder), stored), DRAWN)


@SQLITE
def test_they_lie_in_s3_with_their_result(engine: Engine, settings: Settings) -> None:
    server = s3_server("rclone")
    with server.provider() as provider:
        bucket = emptied(provider)
        away = replace(settings, results_uri=bucket.where, s3=server.access())
        stored = saved(engine, away)
        assert f"{stored.parquet_path}{FILE}" in {info.key for info in bucket.list()}
        assert same_bits(read(away, stored), DRAWN)
        report = verify(engine, away, Choice())
        assert (report.findings, report.files) == ([], 4)
        assert not reconcile(engine, away, deep=True).damaged
        bucket.delete(f"{stored.parquet_path}{FILE}")
        [finding] = verify(engine, away, Choice()).findings
        assert finding.path.endswith(FILE)
        assert list(repair(engine, away, deep=True).repaired) == [stored.task_id]
        assert verify(engine, away, Choice()).findings == []
