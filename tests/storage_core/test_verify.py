"""Verifying results: whatever is done to a file, that file is named, with the reason; what is sound is not."""

import io
import json
import shutil
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, update

from storage_core import backtest_keeping, manifest
from storage_core.backtest_filters import Filters
from storage_core.chosen import Choice, Sample
from storage_core.db import session_scope
from storage_core.errors import StorageError
from storage_core.files import sha256_file
from storage_core.models import Backtest
from storage_core.result_root import result_root
from storage_core.settings import Settings
from storage_core.verify import Finding, Report, verify
from tests.s3 import s3_server
from tests.storage_core import legacy
from tests.storage_core.examples import claimed, queued, row
from tests.storage_core.sound import Columns, saved, sound_tables

FILES = ("metadata.json", "symbol_summary.parquet", "symbol_signals.parquet", "performance_curve.parquet")
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def verified(engine: Engine, settings: Settings, **choice: Any) -> Report:
    return verify(engine, settings, Choice(**choice))


def folder(engine: Engine, settings: Settings, task_id: uuid.UUID) -> Path:
    return settings.results_dir / str(row(engine, task_id).parquet_path)


def named(report: Report) -> set[str]:
    return {Path(finding.path).name for finding in report.findings}


def only(report: Report) -> Finding:
    assert len(report.findings) == 1, report.findings
    return report.findings[0]


def test_sound_results_have_no_findings(engine: Engine, settings: Settings) -> None:
    for symbols in (["KRW-BTC"], ["KRW-BTC", "KRW-ETH", "KRW-XRP"]):
        saved(engine, settings, symbols=symbols)
    saved(engine, settings, sound_tables(trades=0, bars=1))
    claimed(engine)
    queued(engine)
    report = verified(engine, settings)
    assert report.findings == []
    assert (report.results, report.damaged, report.files, report.rows) == (3, 0, 9, 4 * 221 + 2)
    sizes = [path.stat().st_size for path in settings.results_dir.rglob("*.parquet")]
    assert report.bytes == sum(sizes)


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_byte_anywhere(engine: Engine, settings: Settings, name: str) -> None:
    whole, hit = saved(engine, settings), saved(engine, settings)
    path = folder(engine, settings, hit) / name
    before = path.read_bytes()
    for at in {0, 3, 11, len(before) // 3, len(before) // 2, len(before) - 9, len(before) - 1}:
        for change in (1, 0x20, 0xFF):
            path.write_bytes(before[:at] + bytes([before[at] ^ change]) + before[at + 1 :])
            found = only(verified(engine, settings))
            assert (found.task_id, found.path) == (hit, str(path))
            assert "sha256" in found.problem
    path.write_bytes(before)
    assert verified(engine, settings).findings == []
    assert whole != hit


@SQLITE
def test_every_byte_of_a_manifest_counts(engine: Engine, settings: Settings) -> None:
    path = folder(engine, settings, saved(engine, settings)) / manifest.MANIFEST
    before = path.read_bytes()
    for at in range(0, len(before), 97):
        path.write_bytes(before[:at] + bytes([before[at] ^ 1]) + before[at + 1 :])
        assert only(verified(engine, settings)).path == str(path)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_short_empty_or_gone(engine: Engine, settings: Settings, name: str) -> None:
    path = folder(engine, settings, saved(engine, settings)) / name
    before = path.read_bytes()
    for kept in (0, 5, len(before) - 1):
        path.write_bytes(before[:kept])
        assert only(verified(engine, settings)).path == str(path)
    path.unlink()
    found = only(verified(engine, settings))
    assert (found.path, found.problem) == (str(path), "it does not exist")
    path.mkdir()
    assert only(verified(engine, settings)).path == str(path)


@pytest.mark.parametrize("name", FILES)
def test_two_files_that_changed_places(engine: Engine, settings: Settings, name: str) -> None:
    saved_tables = [sound_tables(trades=trades, bars=bars) for trades, bars in ((20, 200), (30, 300))]
    first, second = (folder(engine, settings, saved(engine, settings, tables)) / name for tables in saved_tables)
    kept = first.read_bytes()
    shutil.copyfile(second, first)
    second.write_bytes(kept)
    assert {finding.path for finding in verified(engine, settings).findings} == {str(first), str(second)}


def test_tables_of_one_result_that_changed_places(engine: Engine, settings: Settings) -> None:
    place = folder(engine, settings, saved(engine, settings))
    place.joinpath(FILES[2]).rename(place / "kept")
    place.joinpath(FILES[3]).rename(place / FILES[2])
    place.joinpath("kept").rename(place / FILES[3])
    assert named(verified(engine, settings)) == {FILES[2], FILES[3]}


def test_a_row_whose_folder_is_gone(engine: Engine, settings: Settings) -> None:
    gone, whole = saved(engine, settings), saved(engine, settings)
    shutil.rmtree(folder(engine, settings, gone))
    report = verified(engine, settings)
    assert {finding.task_id for finding in report.findings} == {gone}
    assert named(report) == set(FILES)
    assert (report.results, report.damaged) == (2, 1)
    with session_scope(engine) as session:
        session.execute(update(Backtest).where(Backtest.task_id == whole).values(parquet_path="../../etc/"))
    assert "names no place" in verified(engine, settings, task_ids=(whole,)).findings[0].problem


def rewrite(engine: Engine, place: Path, task_id: uuid.UUID, name: str, **facts: Any) -> None:
    """Make the row, and a manifest that agrees with it, believe what the file is now; and `facts`."""
    path = place / f"{name}.parquet"
    stored = row(engine, task_id)
    now = {"bytes": path.stat().st_size, "sha256": sha256_file(path), **facts}
    stored.metadata_["files"][name] |= now
    size = sum(one["bytes"] for one in stored.metadata_["files"].values())
    with session_scope(engine) as session:
        values = {"metadata_": stored.metadata_, "file_size": size}
        session.execute(update(Backtest).where(Backtest.task_id == task_id).values(values))
    stored = row(engine, task_id)
    (place / manifest.MANIFEST).write_bytes(manifest.dump(stored, {"metadata_": stored.metadata_}))


def test_counts_that_are_wrong(engine: Engine, settings: Settings) -> None:
    task_id = saved(engine, settings)
    place = folder(engine, settings, task_id)
    rewrite(engine, place, task_id, "symbol_signals")
    assert verified(engine, settings).findings == []
    rewrite(engine, place, task_id, "performance_curve", rows=201)
    assert only(verified(engine, settings)).problem == "it has 200 rows, 201 were stored"
    rewrite(engine, place, task_id, "performance_curve", rows=200)
    with session_scope(engine) as session:
        session.execute(update(Backtest).where(Backtest.task_id == task_id).values(record_count=21))
    rewrite(engine, place, task_id, "symbol_signals")
    assert only(verified(engine, settings)).problem == "it has 20 trades, the row says 21"


def test_a_row_that_says_other_things_than_its_manifest(engine: Engine, settings: Settings) -> None:
    task_id = saved(engine, settings)
    with session_scope(engine) as session:
        session.execute(update(Backtest).where(Backtest.task_id == task_id).values(sharpe=9.5))
        backtest_keeping.annotate(session, task_id, note="people may write what they like", tags=["a"], pinned=True)
    found = only(verified(engine, settings))
    assert (Path(found.path).name, found.problem) == ("metadata.json", "it says that sharpe is 1.25, the row says 9.5")


def unsorted(table: str, columns: Columns) -> None:
    if "timestamp" in columns:
        times = columns["timestamp"]
        times[4], times[5] = times[5], times[4]


def twice(table: str, columns: Columns) -> None:
    if table == "performance_curve":
        columns["timestamp"][7] = columns["timestamp"][6]


def miscounted(table: str, columns: Columns) -> None:
    if table == "symbol_summary":
        columns["total_signals"] = [19]


def stranger(table: str, columns: Columns) -> None:
    if table == "performance_curve":
        columns["symbol"] = ["KRW-XYZ"] * 200


def apart(table: str, columns: Columns) -> None:
    if table == "performance_curve":
        columns["symbol"][100] = "KRW-ADA"


def backwards(table: str, columns: Columns) -> None:
    if table == "symbol_signals":
        columns["exit_timestamp"][3] = columns["timestamp"][3] - 1


def off(column: str, *, rows: int, by: float = 1.01) -> Callable[[str, Columns], None]:
    def change(table: str, columns: Columns) -> None:
        if column in columns and (table != "symbol_summary"):
            values = list(columns[column])
            columns[column] = [value * by + 1 if index < rows else value for index, value in enumerate(values)]

    return change


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        (unsorted, "symbol_signals", "its times are out of order: row 4 of KRW-BTC comes after its next"),
        (unsorted, "performance_curve", "its times are out of order: row 4 of KRW-BTC comes after its next"),
        (twice, "performance_curve", "row 6 of KRW-BTC has the time of its next"),
        (miscounted, "symbol_summary", "it counts 19 trades of KRW-BTC, symbol_signals has 20"),
        (stranger, "performance_curve", "it has rows of KRW-XYZ, which symbol_summary does not name"),
        (apart, "performance_curve", "the rows of KRW-BTC do not lie together"),
        (backwards, "symbol_signals", "1 trades end before they begin"),
        (off("pnl", rows=1), "symbol_signals", "the formula for pnl does not come out in 1 rows: row 0 has"),
        (off("pnl", rows=19), "symbol_signals", "the formula for pnl does not come out in 19 rows"),
        (off("fee_amount", rows=20), "symbol_signals", "the formula for fee_amount does not come out in 20 rows"),
        (off("return_pct", rows=3, by=1.0), "symbol_signals", "the formula for return_pct does not come out in 3"),
        (off("drawdown", rows=2), "performance_curve", "the formula for drawdown does not come out in 2 rows"),
        (off("cumulative_pnl", rows=200), "performance_curve", "cumulative_pnl does not come out in 200 rows"),
        (off("equity", rows=1), "performance_curve", "cumulative_pnl_pct does not come out in 1 rows"),
    ],
)
@SQLITE
def test_contents_that_contradict_each_other(
    engine: Engine, settings: Settings, change: Callable[[str, Columns], None], name: str, words: str
) -> None:
    saved(engine, settings, sound_tables(change=change))
    found = {finding.path: [] for finding in verified(engine, settings).findings}
    for finding in verified(engine, settings).findings:
        found[finding.path].append(finding.problem)
    problems = [problem for path, some in found.items() if Path(path).stem == name for problem in some]
    assert any(words in problem for problem in problems), found


@SQLITE
def test_a_formula_with_another_constant_than_the_backtest(engine: Engine, settings: Settings) -> None:
    task_id = saved(engine, settings)
    place = folder(engine, settings, task_id)
    path = place / "symbol_signals.parquet"
    table = pq.read_table(path)
    notes = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    left_out = json.loads(notes["coin_hts.left_out"])
    left_out["fee_amount"]["constants"]["fee_rate"] = 0.002
    notes["coin_hts.left_out"] = json.dumps(left_out)
    pq.write_table(table.replace_schema_metadata(notes), path)
    rewrite(engine, place, task_id, "symbol_signals")
    problems = [finding.problem for finding in verified(engine, settings).findings]
    assert "its formula for fee_amount uses fee_rate 0.002, the backtest had 0.001" in problems
    left_out["pnl"]["version"] = "9"
    notes["coin_hts.left_out"] = json.dumps(left_out)
    pq.write_table(table.replace_schema_metadata(notes), path)
    rewrite(engine, place, task_id, "symbol_signals")
    assert "it cannot be read: 'version 9 of the formula for pnl'" in only(verified(engine, settings)).problem


def test_seven_sevenths_are_all(engine: Engine, settings: Settings) -> None:
    made = {saved(engine, settings, sound_tables(trades=1, bars=2)) for _ in range(15)}
    for task_id in made:
        (folder(engine, settings, task_id) / "symbol_signals.parquet").unlink()
    seen = [verified(engine, settings, sample=Sample(7, turn)) for turn in range(100, 107)]
    assert sum(report.results for report in seen) == 15
    assert {finding.task_id for report in seen for finding in report.findings} == made
    one = min(made)
    assert verified(engine, settings, task_ids=(one,)).results == 1
    assert verified(engine, settings, filters=Filters(strategies=["macd_cross"])).results == 0


def test_deleted_ones_are_verified_when_asked_for(engine: Engine, settings: Settings) -> None:
    task_id = saved(engine, settings)
    with session_scope(engine) as session:
        backtest_keeping.delete(session, task_id, by="kim")
    assert verified(engine, settings).results == 0
    assert verified(engine, settings, filters=Filters(deleted=True)).results == 1


def test_migrated_legacy_results_are_sound(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    assert legacy.run(settings, legacy.a_copy(tmp_path / "legacy")).failed == 0
    report = verified(engine, settings)
    assert report.findings == []
    assert report.results >= 5


@pytest.mark.parametrize(("mode", "files"), [("json-only", 2), ("dual-write", 5)])
def test_results_that_are_kept_as_json(engine: Engine, settings: Settings, mode: str, files: int) -> None:
    keeping = replace(settings, result_storage_mode=mode)
    task_id = saved(engine, keeping, symbols=["KRW-BTC", "KRW-ETH"])
    report = verified(engine, keeping)
    assert (report.findings, report.files, report.rows) == ([], files, 2 * 221)
    saved(engine, keeping, sound_tables(change=off("pnl", rows=3)))
    found = verified(engine, keeping).findings
    assert {"pnl does not come out in 3 rows" in finding.problem for finding in found} >= {True}
    place = folder(engine, keeping, task_id)
    for name in ("result.json", "manifest.json", "metadata.json"):
        before = (place / name).read_bytes()
        (place / name).write_bytes(before[:40] + bytes([before[40] ^ 4]) + before[41:])
        assert only(verified(engine, keeping, task_ids=(task_id,))).path == str(place / name)
        (place / name).write_bytes(before)


@SQLITE
@pytest.mark.parametrize("server", ["moto", "rclone"])
def test_objects_in_s3_are_read_past_the_cache(engine: Engine, settings: Settings, server: str) -> None:
    running = s3_server(server)
    with running.provider() as provider:
        remote = replace(settings, results_uri=provider.where, s3=running.access())
        task_id = saved(engine, remote)
        place = str(row(engine, task_id).parquet_path)
        assert verified(engine, remote).findings == []
        for name in FILES:
            with provider.open(place + name) as stream:
                before = stream.read()
            provider.upload(place + name, io.BytesIO(before[:50] + bytes([before[50] ^ 1]) + before[51:]))
            found = only(verified(engine, remote))
            assert found.path == f"{provider.where}/{place}{name}"
            provider.delete(place + name)
            assert only(verified(engine, remote)).problem == "it does not exist"
            provider.upload(place + name, io.BytesIO(before))
        assert verified(engine, remote).findings == []
    result_root(remote).close()
    with pytest.raises(StorageError):
        verified(engine, replace(remote, results_uri="s3://no-such-bucket-here"))
