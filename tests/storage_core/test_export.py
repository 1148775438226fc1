"""Exports: what is written can be read back to the last bit, runs nothing in a spreadsheet, and overwrites nothing."""

import csv
import io
import json
import uuid
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, update

from storage_core import backtest_keeping, result_store
from storage_core.backtest_filters import Filters
from storage_core.chosen import Choice
from storage_core.db import session_scope
from storage_core.errors import BadFilter, DiskProblem, TargetExists
from storage_core.export import FORMATS, Report, export
from storage_core.export_formats import LISTED, RISKY, safe
from storage_core.legacy_results import migrate
from storage_core.migrate import upgrade
from storage_core.models import Backtest
from storage_core.result_store import TABLES
from storage_core.schemas import SCHEMAS
from storage_core.settings import Settings
from tests.storage_core import legacy
from tests.storage_core.examples import queued, row, same_bits, tables
from tests.storage_core.sound import saved, sound_tables

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
HOSTILE = [
    *(f"{start}cmd|' /C calc'!A0" for start in RISKY),
    '=HYPERLINK("http://evil","x")', '"quoted", with; commas', "two\nlines", "a\rreturn", "nothing\ttabbed", "= ", "-",
    "'", "''=1", "NULL", "nan", "1e5", "-1", "0x1F", "TRUE", "한글 노트", "🙂", "a" * 5_000, "\\", "%s{0}", "</script>",
    "a,b", '"', '""', ";", "|", "#REF!", "{=1}", "[1]", "\x1b[31mred", "　=full width space", "C:\\x\\y", "../../etc",
    "  ", "\u202eright to left", "+1 555",
]  # fmt: skip


def exported(engine: Engine, settings: Settings, target: Path, form: str, **choice: Any) -> Report:
    return export(engine, settings, Choice(**choice), target, form=form)


def strange(engine: Engine, settings: Settings) -> uuid.UUID:
    """A result with values of every kind."""
    return saved(engine, settings, tables(50, symbols=("KRW-BTC", "KRW-ETH")))


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def stored(engine: Engine, settings: Settings, task_id: uuid.UUID, name: str) -> pa.Table:
    return result_store.read_table(settings, row(engine, task_id), name)


def test_parquet_has_all_columns_and_every_bit(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    made = [saved(engine, settings), strange(engine, settings)]
    report = exported(engine, settings, tmp_path / "out", "parquet")
    assert (report.backtests, report.results, report.failures) == (2, 2, {})
    expected = {f"{task_id}/{name}.parquet" for task_id in made for name in TABLES}
    assert names(tmp_path / "out") == expected | {"backtests.jsonl"}
    for task_id in made:
        for name in TABLES:
            with pq.ParquetFile(tmp_path / "out" / f"{task_id}/{name}.parquet") as file:
                assert file.schema_arrow == SCHEMAS[name]
                assert same_bits(file.read(), stored(engine, settings, task_id, name))
    lines = [json.loads(line) for line in (tmp_path / "out" / "backtests.jsonl").read_text("utf-8").splitlines()]
    assert {line["task_id"] for line in lines} == {str(task_id) for task_id in made}
    assert lines[0]["metadata"]["files"] == row(engine, uuid.UUID(lines[0]["task_id"])).metadata_["files"]
    assert report.bytes == sum(path.stat().st_size for path in (tmp_path / "out").rglob("*.*") if path.is_file())


def test_csv_parsed_again_has_every_bit(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    made = [saved(engine, settings), strange(engine, settings)]
    exported(engine, settings, tmp_path / "out", "csv")
    for task_id in made:
        for name in TABLES:
            options = pacsv.ConvertOptions(
                column_types=SCHEMAS[name], null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
            )
            read = pacsv.read_csv(tmp_path / "out" / f"{task_id}/{name}.csv", convert_options=options)
            assert same_bits(read, stored(engine, settings, task_id, name)), name


@SQLITE
def test_csv_in_plain_python(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    task_id = saved(engine, settings)
    exported(engine, settings, tmp_path / "out", "csv")
    with (tmp_path / "out" / f"{task_id}/symbol_signals.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    table = stored(engine, settings, task_id, "symbol_signals")
    assert [float(line["pnl"]) for line in lines] == table["pnl"].to_pylist()
    assert [line["exit_price"] for line in lines].count("") == 1
    assert lines[0]["timestamp"] == "2024-01-01 00:00:00.000000Z"


def test_names_and_notes_that_attack_spreadsheets(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    notes = {}
    for index in range(50):
        task_id = queued(engine)
        text = HOSTILE[index % len(HOSTILE)]
        values = {"note": text, "tags": [text], "strategy": text[:100], "status": "failed", "error_message": text}
        with session_scope(engine) as session:
            session.execute(update(Backtest).where(Backtest.task_id == task_id).values(values))
        notes[str(task_id)] = text
    exported(engine, settings, tmp_path / "out", "csv")
    with (tmp_path / "out" / "backtests.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 50
    assert tuple(lines[0]) == LISTED
    for line in lines:
        for cell in line.values():
            assert cell[:1] not in RISKY or cell[:1] in ("'", ""), cell
        for name in ("note", "error_message", "strategy"):
            text = notes[line["task_id"]]
            assert (
                line[name].removeprefix("'" if line[name][:1] == "'" else "")
                == text[: 100 if name == "strategy" else None]
            )
        assert json.loads(line["tags"]) == [notes[line["task_id"]]]


def test_text_in_tables_is_made_safe_too(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    def spoil(table: str, columns: dict[str, Any]) -> None:
        if table == "symbol_signals":
            columns["exit_reason"] = (HOSTILE * 3)[: len(columns["exit_reason"])]

    task_id = saved(engine, settings, sound_tables(trades=50, change=spoil))
    exported(engine, settings, tmp_path / "out", "csv")
    with (tmp_path / "out" / f"{task_id}/symbol_signals.csv").open(encoding="utf-8", newline="") as file:
        cells = [line["exit_reason"] for line in csv.DictReader(file)]
    assert cells == [safe(text) for text in (HOSTILE * 3)[:50]]
    assert safe("-1") == "'-1"
    assert safe("plain") == "plain"
    assert safe("") == ""


@SQLITE
def test_json_is_the_legacy_layout_and_goes_in_again(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    made = [saved(engine, settings, symbols=["KRW-BTC", "KRW-ETH"]), saved(engine, settings)]
    report = exported(engine, settings, tmp_path / "out", "json")
    assert (report.results, report.failures) == (2, {})
    files = {f"tasks/{task_id}/{name}.json" for task_id in made for name in ("result", "manifest")}
    assert names(tmp_path / "out") == files | {"backtests.jsonl"}
    for task_id in made:
        document = json.loads((tmp_path / "out" / f"tasks/{task_id}/result.json").read_bytes())
        for index, symbol in enumerate(stored(engine, settings, task_id, "symbol_summary")["symbol"].to_pylist()):
            table = result_store.read_table(settings, row(engine, task_id), "symbol_signals", symbol=symbol)
            entry = document["symbols"][index]
            assert entry["symbol"] == symbol
            for column in ("entry_price", "exit_price", "pnl", "return_pct", "status"):
                assert [signal[column] for signal in entry["signals"]] == table[column].to_pylist()


@SQLITE
def test_what_came_from_the_legacy_system_leaves_as_it_came(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    source = legacy.a_copy(tmp_path / "legacy")
    before = {path.relative_to(source).as_posix(): path.read_bytes() for path in source.rglob("*.json")}
    migrated = legacy.run(settings, source).migrated
    report = exported(engine, settings, tmp_path / "out", "json", filters=Filters(statuses=["completed"]))
    assert (report.results, report.failures) == (migrated, {}) or report.results >= migrated - 2
    written = [name for name in names(tmp_path / "out") if name.endswith(".json")]
    assert written
    for name in written:
        assert json.loads((tmp_path / "out" / name).read_bytes()) == json.loads(before[name])
    other = replace(settings, data_dir=tmp_path / "other", database_url=f"sqlite:///{tmp_path}/other.sqlite3")
    upgrade(other.database_url)
    again = migrate(other, legacy.options(tmp_path / "out"))
    assert (again.failed, again.migrated) == (0, report.results)


@pytest.mark.parametrize("form", FORMATS)
def test_an_archive_holds_what_a_folder_would(engine: Engine, settings: Settings, tmp_path: Path, form: str) -> None:
    for _ in range(3):
        saved(engine, settings)
    exported(engine, settings, tmp_path / "out.zip", form)
    folder_form = "csv" if form == "zip" else form
    exported(engine, settings, tmp_path / "out", folder_form)
    with zipfile.ZipFile(tmp_path / "out.zip") as file:
        assert file.testzip() is None
        assert set(file.namelist()) == names(tmp_path / "out")
        for name in file.namelist():
            assert file.read(name) == (tmp_path / "out" / name).read_bytes()


def test_nothing_is_overwritten(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    saved(engine, settings)
    for name in ("out", "out.zip"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(TargetExists):
            exported(engine, settings, tmp_path / name, "csv")
        assert (tmp_path / name).read_text() == "mine"
    (tmp_path / "empty").mkdir()
    with pytest.raises(TargetExists):
        exported(engine, settings, tmp_path / "empty", "csv")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(TargetExists):
        exported(engine, settings, tmp_path / "link", "csv")


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_appears_meanwhile(engine: Engine, settings: Settings, tmp_path: Path, name: str) -> None:
    saved(engine, settings)

    def interfere(*_: int) -> None:
        if name == "out":
            (tmp_path / name).mkdir()
            (tmp_path / name / "theirs").write_text("x")
        else:
            (tmp_path / name).write_text("x")

    with pytest.raises(TargetExists):
        export(engine, settings, Choice(), tmp_path / name, on_progress=interfere)
    left = {path.name for path in tmp_path.iterdir() if path.name.startswith((".out", "out"))}
    assert left == {name}


def test_a_damaged_result_is_a_failure_and_the_rest_is_there(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    bad, gone, good = (saved(engine, settings) for _ in range(3))
    path = settings.results_dir / str(row(engine, bad).parquet_path) / "performance_curve.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    (settings.results_dir / str(row(engine, gone).parquet_path) / "symbol_signals.parquet").unlink()
    report = exported(engine, settings, tmp_path / "out", "parquet")
    assert set(report.failures) == {bad, gone}
    assert "performance_curve.parquet" in report.failures[bad]
    assert (report.backtests, report.results) == (3, 1)
    assert {name.partition("/")[0] for name in names(tmp_path / "out")} == {str(good), "backtests.jsonl"}


def test_the_choice_counts(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    one, other = saved(engine, settings), saved(engine, settings, strategy="macd_cross")
    waits = queued(engine)
    deleted = saved(engine, settings)
    with session_scope(engine) as session:
        backtest_keeping.delete(session, deleted, by="kim")
    assert exported(engine, settings, tmp_path / "1", "csv").backtests == 3
    assert names(tmp_path / "1") >= {f"{one}/symbol_summary.csv", f"{other}/symbol_summary.csv"}
    assert not [name for name in names(tmp_path / "1") if str(waits) in name or str(deleted) in name]
    exported(engine, settings, tmp_path / "2", "csv", task_ids=(other,))
    assert {name.partition("/")[0] for name in names(tmp_path / "2")} == {"backtests.csv", f"{other}"}
    exported(engine, settings, tmp_path / "3", "csv", filters=Filters(strategies=["sma_cross"], statuses=["completed"]))
    assert {name.partition("/")[0] for name in names(tmp_path / "3")} == {"backtests.csv", f"{one}"}
    with pytest.raises(BadFilter):
        exported(engine, settings, tmp_path / "4", "csv", filters=Filters(statuses=["odd"]))
    assert not (tmp_path / "4").exists()


@SQLITE
def test_a_target_that_cannot_be_made(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskProblem):
        exported(engine, settings, tmp_path / "file" / "out", "csv")


@SQLITE
def test_an_archive_never_holds_more_than_one_result_unpacked(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    for _ in range(4):
        saved(engine, settings)
    most = 0

    def look(*_: int) -> None:
        nonlocal most
        most = max(most, len(list(tmp_path.glob(".out.zip.*/folder/*/*.csv"))))

    export(engine, settings, Choice(), tmp_path / "out.zip", on_progress=look)
    assert most == 0, "each result is packed before the next is read"
    assert io.BytesIO((tmp_path / "out.zip").read_bytes()).read(2) == b"PK"
