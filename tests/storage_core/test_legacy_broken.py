"""Each kind of broken legacy file: named with its path, field and reason, left where it is, and others go on."""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, update

from storage_core.db import session_scope
from storage_core.legacy_errors import CannotMove, NotLegacy
from storage_core.legacy_parse import Rules
from storage_core.legacy_report import Skip
from storage_core.legacy_results import Report
from storage_core.models import Backtest
from storage_core.settings import Settings
from tests.storage_core.examples import queued
from tests.storage_core.legacy import BASIC, SAMPLES, a_copy, comparable, files, only, rows, run, sample

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
SOUND = sample()
TASK = UUID("00000001-1e9a-4c7e-8a11-5eed00000001")
DEEP = 2_000
FIELDS = {
    "version": (1.1, "version is a number; allowed: a text"),
    "run_id": (7, "run_id is a whole number; allowed: an id (UUID)"),
    "params": ([], "params is a list; allowed: an object"),
    "strategy": (None, "strategy is null"),
    "start_date": (20240628, "start_date is a whole number; allowed: a time such as"),
    "timeframe": ("1W", "timeframe is '1W'; allowed: 1M, 5M, 15M, 1H, 4H, 1D"),
    "symbols": ({}, "symbols is an object; allowed: a list of objects"),
    "total_signals": ("4", "total_signals is a text ('4'); allowed: a whole number"),
    "execution_time": (True, "execution_time is true or false; allowed: a number of seconds"),
    "metadata": ("none", "metadata is a text ('none'); allowed: an object"),
}
OF_A_SYMBOL = {
    "symbol": (["KRW-SOL"], "symbols[0].symbol is a list; allowed: a symbol such as KRW-BTC"),
    "is_active": ("yes", "symbols[0].is_active is a text ('yes'); allowed: true or false"),
    "signals": ("none", "symbols[0].signals is a text ('none'); allowed: a list, or null"),
    "win_rate": ("half", "symbols[0].win_rate is a text ('half'); allowed: a number"),
    "avg_return": (False, "symbols[0].avg_return is true or false; allowed: a number"),
    "performance_curve": (0, "symbols[0].performance_curve is a whole number; allowed: a list, or null"),
}
OF_A_SIGNAL = {
    "timestamp": ("yesterday", "symbols[0].signals[2].timestamp is a text ('yesterday'); allowed: a time"),
    "type": ("hold", "symbols[0].signals[2].type is 'hold'; allowed: buy, sell"),
    "entry_price": (None, "symbols[0].signals[2].entry_price is null"),
    "exit_price": ("198000", "symbols[0].signals[2].exit_price is a text ('198000'); allowed: a number"),
    "return_pct": ([0.1], "symbols[0].signals[2].return_pct is a list; allowed: a number"),
    "symbol": ("KRW-BTC", "symbols[0].signals[2].symbol is KRW-BTC, but it stands below KRW-SOL"),
}


def failing(settings: Settings, source: Path, **changes: Any) -> Report:
    """Migrate what cannot be: the dry run says the same, and every file is still there."""
    before = files(source)
    planned = run(settings, source, dry_run=True, **changes)
    report = run(settings, source, **changes)
    assert comparable(report) == comparable(planned)
    assert files(source) == before
    return report


def sentence_for(settings: Settings, folder: Path, data: bytes, **changes: Any) -> str:
    """What the report says of one file with these bytes."""
    report = failing(settings, only(folder, data), **changes)
    assert (report.found, report.migrated, report.failed) == (1, 0, 1)
    (failure,) = report.failures
    assert failure.path == f"results/{BASIC}.json"
    return str(failure).removeprefix(f"{failure.path} ").removeprefix(f"{failure.path}: ")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b" \n\t", "is empty but for white space"),
        (bytes(4096), "holds nothing but 4096 zero bytes, as a crash leaves a file"),
        (SOUND[: len(SOUND) // 2], "is truncated: the JSON ends too early (line"),
        (SOUND[:-1], "is truncated: the JSON ends too early"),
        (SOUND.replace(b'"timeframe":', b'"timeframe"'), "is corrupt: not JSON (line"),
        (SOUND + b"{}", "is corrupt: something follows after the end of the JSON"),
        (b"<html></html>", "is corrupt: not JSON (line 1, column 1"),
        (b"[1, 2]", "is a list, not a JSON object"),
        (b"\xef\xbb\xbf" + SOUND, "begins with a byte order mark of UTF-8; save it without one"),
        (SOUND.decode().encode("utf-16"), "begins with a byte order mark of UTF-16"),
        (SOUND.replace(b"production", b"\xff\xfe"), "is not UTF-8: byte "),
        (b'{"a": ' * DEEP + b"1" + b"}" * DEEP, "is nested more than 32 levels deep"),
        (SOUND.replace(b'"description": null', b'"description": ' + b"[" * 40 + b"]" * 40), "is nested more than 32"),
        (SOUND.replace(b'"win_rate": 0.5', b'"win_rate": NaN'), "symbols[0].win_rate is NaN, which is not a number"),
        (SOUND.replace(b'"win_rate": 0.5', b'"win_rate": -Infinity'), "symbols[0].win_rate is infinite"),
        (SOUND.replace(b'"win_rate": 0.5', b'"win_rate": 1e999'), "symbols[0].win_rate is infinite, or too large"),
        (SOUND.replace(b'"win_rate": 0.5', b'"win_rate": 1e307'), "symbols[0].win_rate is infinite, or too large"),
        (SOUND.replace(b"0.003", b"Infinity"), "params.body_pct is infinite"),
        (SOUND.replace(b"0.0358", b"NaN"), "execution_time is NaN"),
        (SOUND.replace(b"198000.5", b"9007199254740993", 1), "entry_price is a whole number too large to be stored"),
        (SOUND.replace(b"198000.5", b"9" * 400, 1), "entry_price is a whole number too large to be stored exactly"),
        (SOUND.replace(b"198000.5", b"9" * 5000, 1), "holds a whole number of thousands of digits"),
        (SOUND.replace(b'"hold_period_bars": 3', b'"hold_period_bars": 18446744073709551616'), "hold_period_bars is a"),
        (SOUND.replace(b'"strategy":', b'"strategy": "x", "strategy":'), "strategy stands twice in one JSON object"),
        (SOUND.replace(b"2024-06-28", b"2024-02-30"), "start_date is 2024-02-30, a time that does not exist"),
        (SOUND.replace(b"2024-06-28", b"2024-09-28"), "start_date is 2024-09-28, after end_date 2024-08-10"),
        (SOUND.replace(b"T06:00:00", b"T25:00:00"), "signals[1].timestamp is 2024-06-29T25:00:00+00:00, a time that"),
        (
            SOUND.replace(b"volume_long_candle", b"volume_long_cradle"),
            "an unknown strategy; did you mean 'volume_long_",
        ),
        (SOUND.replace(b"volume_long_candle", b"x"), "strategy is 'x', an unknown strategy; known are volume_long_"),
        (SOUND.replace(str(BASIC).encode(), b"../../etc/passwd"), "run_id is '../../etc/passwd', but the name of the"),
        (SOUND.replace(str(BASIC).encode(), str(TASK).encode()), f"run_id is '{TASK}', but the name of the file is"),
        (SOUND.replace(b'"run_id"', b'"id"'), "run_id is missing"),
        (SOUND.replace(b"KRW-SOL", b"../KRW-SOL"), "symbols[0].symbol is '../KRW-SOL'; allowed are symbols such as"),
        (SOUND.replace(b'"vol_ma_window"', b'"a\\u0000b"'), "holds a character that a database cannot store"),
    ],
)
def test_broken_bytes(settings: Settings, tmp_path: Path, data: bytes, said: str) -> None:
    assert said in sentence_for(settings, tmp_path / "legacy", data)


@pytest.mark.parametrize(("field", "value", "said"), [(field, *wrong) for field, wrong in FIELDS.items()])
def test_a_wrong_type_of_a_field(settings: Settings, tmp_path: Path, field: str, value: Any, said: str) -> None:
    data = sample(lambda document: document.update({field: value}))
    assert sentence_for(settings, tmp_path / "legacy", data).startswith(said)


@pytest.mark.parametrize(("field", "value", "said"), [(field, *wrong) for field, wrong in OF_A_SYMBOL.items()])
def test_a_wrong_type_in_a_symbol(settings: Settings, tmp_path: Path, field: str, value: Any, said: str) -> None:
    data = sample(lambda document: document["symbols"][0].update({field: value}))
    assert sentence_for(settings, tmp_path / "legacy", data).startswith(said)


@pytest.mark.parametrize(("field", "value", "said"), [(field, *wrong) for field, wrong in OF_A_SIGNAL.items()])
def test_a_wrong_type_in_a_signal(settings: Settings, tmp_path: Path, field: str, value: Any, said: str) -> None:
    data = sample(lambda document: document["symbols"][0]["signals"][2].update({field: value}))
    assert sentence_for(settings, tmp_path / "legacy", data).startswith(said)


def test_a_symbol_that_stands_there_twice(settings: Settings, tmp_path: Path) -> None:
    def again(document: dict[str, Any]) -> None:
        document["symbols"].append({**document["symbols"][0], "symbol": "SOL_KRW"})

    said = sentence_for(settings, tmp_path / "legacy", sample(again))
    assert said == "symbols[1].symbol is KRW-SOL, which stands there twice"


def test_a_huge_file_is_not_read(settings: Settings, tmp_path: Path) -> None:
    source = only(tmp_path / "legacy", b"")
    with (source / "results" / f"{BASIC}.json").open("wb") as file:
        file.truncate(2**40)  # it takes no room on the disk
    (failure,) = run(settings, source).failures
    assert failure.reason == "is huge: 1,099,511,627,776 bytes; the limit is 67,108,864 (--max-megabytes)"
    (failure,) = run(settings, only(tmp_path / "small", SOUND), rules=Rules(max_bytes=1_000)).failures
    assert failure.kind == "huge"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda place: place.mkdir(), "is a folder, not a file"),
        (lambda place: place.symlink_to(SAMPLES / "results" / f"{BASIC}.json"), "is a symbolic link; put the file"),
        (lambda place: place.symlink_to("/nonesuch"), "is a symbolic link; put the file itself there"),
        (os.mkfifo, "is a pipe, not a file"),
    ],
)
def test_what_is_not_a_file(settings: Settings, tmp_path: Path, make: Callable[[Path], object], said: str) -> None:
    (tmp_path / "legacy" / "results").mkdir(parents=True)
    make(tmp_path / "legacy" / "results" / f"{BASIC}.json")
    assert said in str(run(settings, tmp_path / "legacy").failures[0])


def test_a_file_without_permission(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = only(tmp_path / "legacy", SOUND)
    (source / "results" / f"{BASIC}.json").chmod(0)
    if os.access(source / "results" / f"{BASIC}.json", os.R_OK):
        real = os.open  # root reads everything: let the kernel's answer to anybody else be seen

        def refusing(path: Any, *args: Any, **kwargs: Any) -> int:
            if Path(path).name == f"{BASIC}.json":
                raise PermissionError(13, "Permission denied", str(path))
            return real(path, *args, **kwargs)

        monkeypatch.setattr(os, "open", refusing)
    assert str(run(settings, source).failures[0]).endswith("cannot be read: Permission denied")


def test_what_stands_where_tasks_and_results_should_be(settings: Settings, tmp_path: Path) -> None:
    source = a_copy(tmp_path / "legacy")
    (source / "tasks" / "notes.txt").write_text("a file")
    (source / "tasks" / "..tricky").mkdir()
    (source / "tasks" / "not-an-id").mkdir()
    (source / "tasks" / "not-an-id" / "result.json").write_bytes(SOUND)
    (source / "tasks" / "elsewhere").symlink_to(SAMPLES / "tasks" / f"{TASK}")
    (source / "results" / "latest.json").write_bytes(SOUND)
    other = source / "tasks" / "0000000f-1e9a-4c7e-8a11-5eed0000000f"
    other.mkdir()
    (other / "log.txt").write_text("nothing of use")
    report = run(settings, source)
    assert report.migrated == 8
    said = [str(failure) for failure in report.failures]
    assert said == [
        "results/latest.json has no id: the name of the file, 'latest', is not a UUID",
        f"tasks/{other.name} holds neither result.json nor manifest.json",
        "tasks/elsewhere is a symbolic link; put the folder itself there",
        "tasks/not-an-id has no id: the name of the folder, 'not-an-id', is not a UUID",
        "tasks/notes.txt is a file where the folder of a task should be",
    ]


def test_manifests_that_do_not_fit(settings: Settings, tmp_path: Path) -> None:
    def with_manifest(name: str, change: Callable[[bytes], bytes]) -> str:
        source = a_copy(tmp_path / name)
        manifest = source / "tasks" / f"{TASK}" / "manifest.json"
        manifest.write_bytes(change(manifest.read_bytes()))
        (failure,) = run(settings, source, dry_run=True).failures
        return str(failure)

    path = f"tasks/{TASK}/result.json"
    assert with_manifest("cut", lambda data: data[:100]).startswith(f"{path}: manifest.json is truncated")
    other = with_manifest("id", lambda data: data.replace(str(TASK).encode(), str(BASIC).encode()))
    assert other == f"{path}: manifest.json: task_id is '{BASIC}', but the folder is '{TASK}'"
    failed = with_manifest("failed", lambda data: data.replace(b'"completed"', b'"failed"'))
    assert failed == f"{path}: manifest.json: status is 'failed', but there is a result.json"


def test_a_manifest_without_its_result(settings: Settings, tmp_path: Path) -> None:
    source = a_copy(tmp_path / "legacy")
    (source / "tasks" / f"{TASK}" / "result.json").unlink()
    (failure,) = run(settings, source, dry_run=True).failures
    assert str(failure) == (
        f"tasks/{TASK}/manifest.json says that the task is completed, but there is no result.json beside it"
    )


def test_a_run_that_only_the_index_knows(settings: Settings, tmp_path: Path) -> None:
    source = a_copy(tmp_path / "legacy")
    (source / "results" / f"{BASIC}.json").unlink()
    (failure,) = run(settings, source).failures
    assert str(failure) == f"results/{BASIC}.json does not exist, though results/index.json names this run"
    assert run(settings, source).failures == [failure], "what was migrated meanwhile is not missing"


def test_doubts_are_told_and_refused_when_strict(settings: Settings, tmp_path: Path) -> None:
    source = a_copy(tmp_path / "legacy")
    result = source / "tasks" / f"{TASK}" / "result.json"
    result.write_bytes(result.read_bytes().replace(b'"total_signals": 7', b'"total_signals": 8'))
    path = f"tasks/{TASK}/result.json"
    report = run(settings, source, dry_run=True)
    assert report.doubts == [
        f"{path}: manifest.json: result_files[0].checksum does not fit: result.json was changed after it was written",
        f"{path}: total_signals is 8, but the file holds 7 signals",
    ]
    (failure,) = run(settings, source, rules=Rules(strict=True)).failures
    assert failure.kind == "doubt"
    assert failure.reason.startswith("is refused by --strict: total_signals is 8")


def test_two_copies_with_the_same_content_are_one_result(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    source = a_copy(tmp_path / "legacy")
    shutil.copyfile(source / "tasks" / f"{TASK}" / "result.json", source / "results" / f"{TASK}.json")
    planned = run(settings, source, dry_run=True)
    report = run(settings, source)
    assert comparable(report) == comparable(planned)
    assert (report.found, report.migrated, report.skips, report.failed) == (9, 8, {Skip.SAME: 1}, 0)
    assert len(rows(engine)) == 8
    kept = sorted(path.name for path in (source / "backups" / f"{TASK}").iterdir())
    assert kept == [f"{TASK}.json", "manifest.json", "result.json"]


def test_two_copies_with_other_content_both_fail(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    source = a_copy(tmp_path / "legacy")
    changed = sample(lambda document: document.update({"run_id": str(TASK)}))
    (source / "results" / f"{TASK}.json").write_bytes(changed)
    report = run(settings, source)
    paths = [f"results/{TASK}.json", f"tasks/{TASK}/result.json"]
    assert [failure.path for failure in report.failures] == paths
    assert report.failures[0].reason == f"has the same id as {paths[1]}, with another content; keep one of the two"
    assert TASK not in rows(engine)


def test_a_broken_copy_does_not_hold_up_the_sound_one(settings: Settings, tmp_path: Path) -> None:
    source = a_copy(tmp_path / "legacy")
    (source / "results" / f"{TASK}.json").write_bytes(SOUND[:200])
    for _ in range(2):
        (failure,) = run(settings, source).failures
        assert (failure.path, failure.kind) == (f"results/{TASK}.json", "truncated")
    assert not (source / "tasks" / f"{TASK}").exists()


def test_an_id_that_is_taken(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    ours = queued(engine)
    data = sample(lambda document: document.update({"run_id": str(ours)}))
    report = failing(settings, only(tmp_path / "ours", data, ours))
    assert report.failures[0].reason == "has the id of a backtest that this product ran"
    assert failing(settings, tmp_path / "ours", force=True).failed == 1

    assert run(settings, only(tmp_path / "first", SOUND)).migrated == 1
    other = sample(lambda document: document.update({"execution_time": 1.5}))
    report = failing(settings, only(tmp_path / "second", other))
    assert "stored already, with another content (--force replaces it)" in report.failures[0].reason
    assert run(settings, tmp_path / "second", force=True).migrated == 1
    assert rows(engine)[BASIC].revision == 2
    assert '"execution_time":1.5' in rows(engine)[BASIC].metadata_["legacy"]["document"]


def test_cutoff_and_deleted_ones_are_skipped_and_stay(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    source = only(tmp_path / "legacy", SOUND)
    created = datetime(2026, 11, 20, 10, 25, 26, 915436, UTC)
    assert failing(settings, source, cutoff=created).skips == {Skip.CUTOFF: 1}
    assert run(settings, source, cutoff=datetime(2026, 11, 20, 10, 25, 27, tzinfo=UTC)).migrated == 1
    with session_scope(engine) as session:
        session.execute(update(Backtest).values(deleted_at=created))
    assert failing(settings, only(tmp_path / "again", SOUND)).skips == {Skip.DELETED: 1}


def test_a_source_that_is_none(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(NotLegacy, match="does not exist"):
        run(settings, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotLegacy, match="holds neither tasks/ nor results/"):
        run(settings, tmp_path / "empty")
    assert not settings.results_dir.exists()


def test_a_source_that_is_read_only(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = a_copy(tmp_path / "legacy")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "tasks")
    with pytest.raises(CannotMove, match=r"tasks is read-only; .* Copy the source"):
        run(settings, source)
    assert run(settings, source, dry_run=True).migrated == 8
