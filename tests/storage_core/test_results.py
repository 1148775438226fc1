"""Results: what is saved is what is read, bit for bit; what is damaged, missing or impossible is said."""

import copy
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from storage_core import manifest, result_files, result_store
from storage_core.backtests import Claim
from storage_core.db import session_scope, utc_now
from storage_core.errors import BadTables, ClaimLost, DiskProblem, ResultDamaged, ResultMissing, UnknownSchema
from storage_core.files import sha256_file
from storage_core.models import Backtest
from storage_core.reconcile import reconcile
from storage_core.result_store import TABLES, ResultTables
from storage_core.schemas import SCHEMAS
from storage_core.settings import Settings
from tests.storage_core.examples import METADATA, METRICS, claimed, kinds, row, same_bits, tables

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def save(engine: Engine, settings: Settings, claim: Claim, saved: ResultTables, **changes: object) -> None:
    arguments = {"metrics": METRICS, "metadata": METADATA, **changes}
    result_store.save(engine, settings, claim, saved, **arguments)  # type: ignore[arg-type]


@pytest.fixture
def stored(engine: Engine, settings: Settings) -> Backtest:
    """A completed backtest with 200 rows of two symbols."""
    claim = claimed(engine)
    save(engine, settings, claim, tables(200, symbols=("KRW-BTC", "KRW-ETH")))
    return row(engine, claim.task_id)


def file(settings: Settings, stored: Backtest, name: str) -> Path:
    return settings.results_dir / str(stored.parquet_path) / name


def test_a_saved_result(engine: Engine, settings: Settings, stored: Backtest) -> None:
    assert (stored.status, stored.progress, stored.phase, stored.revision) == ("completed", 1.0, "", 1)
    assert stored.parquet_path == f"backtests/{stored.task_id}/"
    assert (stored.sharpe, stored.total_return_pct, stored.trade_count, stored.calmar) == (1.25, 12.5, 3, None)
    assert (stored.sparkline, stored.lookahead_ok, stored.code_version) == ([1.0, 1.5, 1.25], True, "0.1.0")
    assert (stored.record_count, len(str(stored.data_fingerprint))) == (200, 64)
    assert stored.metadata_["metrics"] == METRICS
    assert stored.metadata_["lookahead"] == METADATA["lookahead"]
    assert (stored.metadata_["schema_version"], stored.metadata_["compression"]) == ("1.0", "zstd")
    sizes = {name: file(settings, stored, f"{name}.parquet").stat().st_size for name in TABLES}
    assert {name: facts["bytes"] for name, facts in stored.metadata_["files"].items()} == sizes
    assert stored.file_size == sum(sizes.values())
    assert kinds(engine, stored.task_id) == ["submitted", "claimed", "completed"]
    folder = file(settings, stored, "")
    assert sorted(path.name for path in folder.iterdir()) == [
        "metadata.json",
        *sorted(f"{name}.parquet" for name in TABLES),
    ]


def test_the_manifest_holds_the_whole_row(settings: Settings, stored: Backtest) -> None:
    values, files = manifest.load(file(settings, stored, ""))
    kept = {column.key: getattr(stored, column.key) for column in Backtest.__mapper__.column_attrs}
    moving = {"updated_at", "heartbeat_at"}
    assert {name: value for name, value in values.items() if name not in moving} == {
        name: value for name, value in kept.items() if name not in moving
    }
    assert files == stored.metadata_["files"]


def test_every_table_is_read_back_bit_for_bit(settings: Settings, stored: Backtest) -> None:
    for name, table in tables(200, symbols=("KRW-BTC", "KRW-ETH")).by_name().items():
        read = result_store.read_table(settings, stored, name)
        assert same_bits(read, table)
        assert read.schema.equals(SCHEMAS[name], check_metadata=True)


def test_columns_and_symbols(settings: Settings, stored: Backtest) -> None:
    whole = result_store.read_table(settings, stored, "performance_curve")
    part = result_store.read_table(settings, stored, "performance_curve", columns=["equity", "idx"], symbol="KRW-ETH")
    assert part.column_names == ["equity", "idx"]
    assert same_bits(part, whole.filter(pa.compute.equal(whole["symbol"], "KRW-ETH")).select(["equity", "idx"]))
    assert result_store.read_table(settings, stored, "performance_curve", symbol="KRW-XRP").num_rows == 0
    with pytest.raises(ValueError, match="allowed: symbol_summary, symbol_signals, performance_curve"):
        result_store.read_table(settings, stored, "../metadata")


@SQLITE
def test_the_recipe_is_followed(settings: Settings, stored: Backtest) -> None:
    path = file(settings, stored, "symbol_signals.parquet")
    with pq.ParquetFile(path) as parquet:
        columns = {parquet.metadata.row_group(0).column(i).path_in_schema: parquet.metadata.row_group(0).column(i)
                   for i in range(parquet.metadata.num_columns)}  # fmt: skip
    assert {column.compression for column in columns.values()} == {"ZSTD"}
    assert "PLAIN" in columns["entry_price"].encodings
    assert not columns["entry_price"].has_dictionary_page
    assert "DELTA_BINARY_PACKED" in columns["timestamp"].encodings
    assert columns["symbol"].has_dictionary_page


@SQLITE
def test_empty_tables(engine: Engine, settings: Settings) -> None:
    claim = claimed(engine)
    empty = ResultTables(**{name: schema.empty_table() for name, schema in SCHEMAS.items()})
    save(engine, settings, claim, empty, metrics={}, metadata={})
    stored = row(engine, claim.task_id)
    assert (stored.record_count, stored.sharpe, stored.sparkline, stored.lookahead_ok) == (0, None, None, None)
    for name in TABLES:
        assert same_bits(result_store.read_table(settings, stored, name), SCHEMAS[name].empty_table())


@SQLITE
@given(
    floats=st.lists(st.none() | st.floats(width=64), min_size=1, max_size=30),
    whole=st.lists(st.none() | st.integers(-(2**31), 2**31 - 1), min_size=30, max_size=30),
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_values_survive_twice(
    engine: Engine, settings: Settings, floats: list[float | None], whole: list[int | None], text: str
) -> None:
    def column(field: pa.Field) -> pa.Array:
        if pa.types.is_string(field.type):
            return pa.array([text] * len(floats))
        return pa.array(floats if pa.types.is_floating(field.type) else whole[: len(floats)], field.type)

    made = ResultTables(
        **{name: pa.table([column(field) for field in schema], schema=schema) for name, schema in SCHEMAS.items()}
    )
    for _ in range(2):
        claim = claimed(engine)
        save(engine, settings, claim, made)
        made_again = {name: result_store.read_table(settings, row(engine, claim.task_id), name) for name in TABLES}
        assert all(same_bits(made_again[name], table) for name, table in made.by_name().items())
        made = ResultTables(**made_again)


@SQLITE
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.drop_columns(["idx"]), "its columns are"),
        (lambda table: table.select(table.column_names[::-1]), "its columns are"),
        (
            lambda table: table.set_column(1, "idx", pa.array([1] * len(table))),
            "its column idx is int64, it must be int32",
        ),
        (lambda table: table.set_column(0, "symbol", pa.nulls(len(table), pa.string())), "rows without a symbol"),
    ],
)
def test_tables_of_another_schema_are_refused(engine: Engine, settings: Settings, change: object, said: str) -> None:
    claim, good = claimed(engine), tables()
    with pytest.raises(BadTables, match=said):
        save(engine, settings, claim, replace(good, performance_curve=change(good.performance_curve)))  # type: ignore[operator]
    assert not settings.results_dir.exists()
    save(engine, settings, claim, good)


@SQLITE
@pytest.mark.parametrize("bad", [{"sharpe": float("nan")}, {"sharpe": float("inf")}, {"sharpe": {1, 2}}])
def test_metrics_that_are_not_json_are_refused(engine: Engine, settings: Settings, bad: dict[str, object]) -> None:
    claim = claimed(engine)
    with pytest.raises(BadTables, match="metadata"):
        save(engine, settings, claim, tables(), metrics=bad)
    assert row(engine, claim.task_id).status == "running"


def test_a_lost_claim_writes_nothing(engine: Engine, settings: Settings) -> None:
    claim = claimed(engine)
    late = replace(claim, attempt=claim.attempt + 1)
    with pytest.raises(ClaimLost):
        save(engine, settings, late, tables())
    assert not settings.results_dir.exists()
    save(engine, settings, claim, tables())
    with pytest.raises(ClaimLost):
        save(engine, settings, claim, tables())
    assert len(list((settings.results_dir / "backtests").iterdir())) == 1


def test_a_claim_lost_on_the_way_leaves_only_trash(engine: Engine, settings: Settings) -> None:
    claim = claimed(engine)

    def cancelled(step: str) -> None:
        if step == "flushed":
            with session_scope(engine) as session:
                session.get_one(Backtest, claim.task_id).status = "failed"

    with pytest.raises(ClaimLost):
        save(engine, settings, claim, tables(), on_step=cancelled)
    assert list((settings.results_dir / "backtests").iterdir()) == []
    assert len(list((settings.results_dir / ".trash").iterdir())) == 1
    assert row(engine, claim.task_id).parquet_path is None


@SQLITE
@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text"])
def test_damage_is_named(engine: Engine, settings: Settings, stored: Backtest, name: str, damage: str) -> None:
    path = file(settings, stored, f"{name}.parquet")
    whole = bytearray(path.read_bytes())
    whole[40] ^= 0x01
    path.write_bytes({"truncated": whole[:-50], "empty": b"", "text": b"not parquet"}.get(damage, bytes(whole)))
    with pytest.raises(ResultDamaged, match=f"{name}\\.parquet"):
        result_store.read_table(settings, stored, name)
    report = reconcile(engine, settings, deep=True)
    assert f"{name}.parquet" in report.damaged[stored.task_id]
    assert row(engine, stored.task_id).status == "completed", "it is reported, not hidden"


@SQLITE
@pytest.mark.parametrize("name", TABLES)
def test_no_bit_that_changed_goes_unseen(settings: Settings, stored: Backtest, name: str) -> None:
    """Pages have checksums; what stands between them and in the footer has not, and the formulas are there."""
    path = file(settings, stored, f"{name}.parquet")
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 100)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(ResultDamaged, match=f"{name}\\.parquet is damaged: its sha256"):
            result_store.read_table(settings, stored, name, columns=["symbol"])
        with suppress(ResultDamaged, UnknownSchema):  # nobody to ask what was stored: no other error comes
            result_files.read(path)


@SQLITE
def test_a_missing_file_or_folder_is_named(engine: Engine, settings: Settings, stored: Backtest) -> None:
    file(settings, stored, "symbol_signals.parquet").unlink()
    with pytest.raises(ResultMissing, match=r"symbol_signals\.parquet"):
        result_store.read_table(settings, stored, "symbol_signals")
    assert "symbol_signals" in reconcile(engine, settings).damaged[stored.task_id]
    shutil.rmtree(file(settings, stored, ""))
    with pytest.raises(ResultMissing):
        result_store.read_table(settings, stored, "symbol_summary")
    assert list(reconcile(engine, settings).damaged) == [stored.task_id]


@SQLITE
@pytest.mark.parametrize(
    "path", [None, "", "../../etc/", "backtests/../../etc/", "backtests/", "/etc/", "backtests/.."]
)
def test_a_row_never_points_outside_the_results(
    engine: Engine, settings: Settings, stored: Backtest, path: str | None
) -> None:
    with session_scope(engine) as session:
        session.get_one(Backtest, stored.task_id).parquet_path = path
    with pytest.raises(ResultMissing):
        result_store.read_table(settings, row(engine, stored.task_id), "symbol_summary")


@SQLITE
def test_an_unknown_schema_version_is_named(engine: Engine, settings: Settings, stored: Backtest) -> None:
    path = file(settings, stored, "symbol_summary.parquet")
    pq.write_table(pq.read_table(path).replace_schema_metadata({"coin_hts.schema_version": "9.9"}), path)
    with session_scope(engine) as session:
        noted = copy.deepcopy(stored.metadata_)
        noted["files"]["symbol_summary"]["sha256"] = sha256_file(path)
        session.get_one(Backtest, stored.task_id).metadata_ = noted
    stored = row(engine, stored.task_id)
    with pytest.raises(UnknownSchema, match=r"version '9\.9'; this release reads 1\.0"):
        result_store.read_table(settings, stored, "symbol_summary")


def test_a_row_that_the_database_lost_comes_back(engine: Engine, settings: Settings, stored: Backtest) -> None:
    with session_scope(engine) as session:
        session.delete(session.get_one(Backtest, stored.task_id))
    assert reconcile(engine, settings, dry_run=True).adopted == [stored.task_id]
    assert reconcile(engine, settings).adopted == [stored.task_id]
    back = row(engine, stored.task_id)
    for column in Backtest.__mapper__.column_attrs:
        if column.key not in ("updated_at", "heartbeat_at"):
            assert getattr(back, column.key) == getattr(stored, column.key), column.key
    assert result_store.read_table(settings, back, "symbol_signals").num_rows == 200


@SQLITE
def test_a_manifest_says_nothing_twice_and_one_that_did_is_read_too(settings: Settings, stored: Backtest) -> None:
    """Releases until 20 November 2026 also wrote columns that are null, and the files within the metadata."""
    path = file(settings, stored, "metadata.json")
    document = json.loads(path.read_text())
    assert None not in document["row"].values()
    assert "files" not in document["row"]["metadata"]
    columns, files = manifest.load(path.parent)
    assert columns["metadata_"] == stored.metadata_
    nulls = {name: None for name in columns if getattr(stored, name) is None}
    assert nulls.keys() > {"error_code", "deleted_at"}
    old = {"files": files, "row": {**document["row"], **nulls, "metadata": columns["metadata_"]}}
    path.write_text(json.dumps(old, indent=1))
    assert manifest.load(path.parent) == (columns, files)


@SQLITE
def test_a_damaged_folder_without_a_row_is_trash_and_foreign_ones_are_left_alone(
    engine: Engine, settings: Settings, stored: Backtest
) -> None:
    folder = file(settings, stored, "")
    with session_scope(engine) as session:
        session.delete(session.get_one(Backtest, stored.task_id))
    document = json.loads((folder / "metadata.json").read_text())
    document["files"]["symbol_signals"]["sha256"] = "0" * 64
    (folder / "metadata.json").write_text(json.dumps(document))
    (folder.parent / "notes").mkdir()
    report = reconcile(engine, settings)
    assert "sha256" in report.trashed[f"{stored.task_id}"]
    assert (report.adopted, report.foreign) == ([], ["notes"])
    assert [path.name for path in folder.parent.iterdir()] == ["notes"]
    week = timedelta(days=8)
    assert len(reconcile(engine, settings, now=utc_now() + week, dry_run=True).trash_emptied) == 1
    assert len(reconcile(engine, settings, now=utc_now() + week).trash_emptied) == 1
    assert list((settings.results_dir / ".trash").iterdir()) == []


@SQLITE
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only(engine: Engine, settings: Settings) -> None:
    claim = claimed(engine)
    settings.results_dir.mkdir()
    settings.results_dir.chmod(0o500)
    with pytest.raises(DiskProblem, match="Permission denied"):
        save(engine, settings, claim, tables())
    settings.results_dir.chmod(0o700)
    save(engine, settings, claim, tables())


@SQLITE
def test_a_read_only_file_system(engine: Engine, settings: Settings) -> None:
    claim = claimed(engine)
    with mounted(settings.results_dir, "size=1m,ro"), pytest.raises(DiskProblem, match="Read-only file system"):
        save(engine, settings, claim, tables())
    assert row(engine, claim.task_id).status == "running"
    save(engine, settings, claim, tables())


@SQLITE
@pytest.mark.parametrize("kilobytes", [8, 24, 64, 200])
def test_a_full_disk(engine: Engine, settings: Settings, kilobytes: int) -> None:
    """The save says so, leaves nothing behind, and goes through when there is room again."""
    claim, saved = claimed(engine), tables(20_000)
    with mounted(settings.results_dir, f"size={kilobytes}k"):
        with pytest.raises(DiskProblem, match="No space left on device") as caught:
            save(engine, settings, claim, saved)
        assert not caught.value.permanent
        assert [path for path in settings.results_dir.rglob("*") if path.is_file()] == []
        assert row(engine, claim.task_id).status == "running"
        subprocess.run(["mount", "-o", "remount,size=20m", str(settings.results_dir)], check=True)
        save(engine, settings, claim, saved)
        assert result_store.read_table(settings, row(engine, claim.task_id), "symbol_signals").num_rows == 20_000


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A small file system of its own at `folder`; only root can make one."""
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("a small file system can only be mounted by root")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
