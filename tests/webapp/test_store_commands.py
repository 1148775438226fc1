"""The operators' commands of the result store: what they say, what they do, and how they end."""

import csv
import json
import re
import shutil
import uuid
import zipfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click import Context
from click.testing import Result
from flask import Flask
from sqlalchemy import Engine, select, update

from storage_core.db import session_scope, utc_now
from storage_core.models import Backtest
from storage_core.settings import Settings
from tests.storage_core.examples import queued, row
from tests.storage_core.sound import saved, sound_tables

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "reconcile-results", "verify-results", "cleanup-results", "undelete-results", "storage-stats", "export-results",
    "benchmark-storage",
)  # fmt: skip


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Both databases."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@dataclass
class Terminal:
    """Somebody with a terminal, and the store."""

    console: Flask
    engine: Engine
    settings: Settings

    def run(self, *arguments: object, status: int = 0) -> Result:
        answer = self.console.test_cli_runner().invoke(args=[f"{argument}" for argument in arguments])
        assert answer.exit_code == status, (answer.output, answer.exception)
        return answer

    def json(self, *arguments: object, status: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", status=status).stdout)

    def save(self, *, days: float = 0, **changes: Any) -> uuid.UUID:
        strategy = changes.pop("strategy", "sma_cross")
        task_id = saved(self.engine, self.settings, sound_tables(trades=3, bars=5), strategy=strategy)
        values = {"created_at": utc_now() - timedelta(days=days), **changes}
        with session_scope(self.engine) as session:
            session.execute(update(Backtest).where(Backtest.task_id == task_id).values(values))
        return task_id

    def folder(self, task_id: uuid.UUID) -> Path:
        return self.settings.results_dir / str(row(self.engine, task_id).parquet_path)

    def left(self) -> set[uuid.UUID]:
        with session_scope(self.engine) as session:
            return set(session.scalars(select(Backtest.task_id).where(Backtest.deleted_at.is_(None))))


@pytest.fixture
def terminal(console: Flask, engine: Engine, settings: Settings) -> Terminal:
    return Terminal(console, engine, settings)


@on_sqlite
@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself_with_an_example(terminal: Terminal, command: str) -> None:
    text = terminal.run(command, "--help").output
    assert f"Example: flask {command}" in text
    assert "--json" in text


@on_sqlite
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("verify-results", "--sample", "2/7"), "is not a part such as 1/7"),
        (("verify-results", "--sample", "1/0"), "is not a part such as 1/7"),
        (("verify-results", uuid.UUID(int=5)), "there is no backtest 00000000-0000-0000-0000-000000000005"),
        (("verify-results", "not-an-id"), "not-an-id"),
        (("cleanup-results",), "--days"),
        (("cleanup-results", "--days", "-1"), "-1"),
        (("cleanup-results", "--days", "soon"), "soon"),
        (("cleanup-results", "--days", "1", "--status", "running"), "status is 'running'"),
        (("cleanup-results", "--days", "1", "--best", "beauty"), "beauty"),
        (("undelete-results",), "--all"),
        (("storage-stats", "--metric", "sharpe=high"), "NAME=LOW..HIGH"),
        (("storage-stats", "--metric", "luck=1.."), "NAME=LOW..HIGH"),
        (("storage-stats", "--owner", "nobody"), "nobody is called"),
        (("storage-stats", "--submitted-from", "yesterday"), "yesterday"),
        (("export-results",), "--to"),
        (("export-results", "--to", "x", "--format", "xlsx"), "xlsx"),
        (("export-results", "--to", "x", "--format", "zip"), "ends in .zip"),
        (("export-results", "--to", "x", uuid.UUID(int=5)), "there is no backtest"),
        (("benchmark-storage", "--runs", "0"), "0"),
    ],
)
def test_wrong_use_is_said_and_ends_with_2(terminal: Terminal, arguments: tuple[object, ...], words: str) -> None:
    assert words in terminal.run(*arguments, status=2).output


def test_verify_names_the_damaged_file_and_ends_with_1(terminal: Terminal) -> None:
    whole, bad = terminal.save(), terminal.save()
    assert "2 results read" in terminal.run("verify-results").output
    path = terminal.folder(bad) / "symbol_signals.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    text = terminal.run("verify-results", status=1).output
    assert f"{path}: its sha256 is not the one that was stored" in text
    assert "1 of them damaged" in text
    report = terminal.json("verify-results", status=1)
    assert (report["results"], report["damaged"]) == (2, 1)
    assert report["findings"] == [
        {"task_id": str(bad), "path": str(path), "problem": "its sha256 is not the one that was stored"}
    ]
    assert terminal.json("verify-results", whole)["results"] == 1
    assert terminal.json("verify-results", "--strategy", "macd_cross")["results"] == 0
    assert terminal.json("verify-results", "--sample", "1/1", status=1)["results"] == 2


def test_reconcile_says_what_it_would_do_and_does_it(terminal: Terminal) -> None:
    task_id = terminal.save()
    stale = terminal.settings.results_dir / ".staging" / f"{uuid.uuid4()}.1.{'ab' * 8}"
    stale.mkdir(parents=True)
    would = terminal.json("reconcile-results", "--dry-run")
    assert (would["staging_removed"], stale.exists()) == ([stale.name], True)
    done = terminal.json("reconcile-results")
    assert {**would, "dry_run": False} == done
    assert not stale.exists()
    assert "0 stale staging, removed" in terminal.run("reconcile-results").output
    shutil.rmtree(terminal.folder(task_id))
    assert "1 completed results missing or damaged" in terminal.run("reconcile-results", status=1).output
    assert list(terminal.json("reconcile-results", "--deep", status=1)["damaged"]) == [str(task_id)]


def test_cleanup_prints_in_a_dry_run_what_it_does(terminal: Terminal) -> None:
    old = {terminal.save(days=100), terminal.save(days=40)}
    stays = {terminal.save(days=100, pinned=True), terminal.save(days=1), terminal.save(days=90, sharpe=99.0)}
    asked = ("cleanup-results", "--days", 30, "--keep-top", 1, "--keep-pinned")
    would = terminal.run(*asked, "--dry-run").output
    assert terminal.left() == old | stays
    done = terminal.run(*asked).output
    assert would == done + "Dry run: nothing was changed.\n"
    assert terminal.left() == stays
    assert all(f"{task_id}" in done for task_id in old)
    assert "2 deleted" in done
    assert "1 kept because they are pinned" in done
    assert "1 kept because they are among the best" in done
    assert terminal.json(*asked) == {
        "dry_run": False, "deleted": [], "bytes": 0, "kept_pinned": 1, "kept_top": 1, "purged": []
    }  # fmt: skip


def test_undelete_takes_back_by_id_by_filter_and_all(terminal: Terminal) -> None:
    one, two, three = terminal.save(days=9), terminal.save(days=9, strategy="macd_cross"), terminal.save(days=9)
    terminal.run("cleanup-results", "--days", 1)
    assert terminal.left() == set()
    assert "1 taken back" in terminal.run("undelete-results", one).output
    assert terminal.json("undelete-results", "--strategy", "macd_cross", "--dry-run")["restored"] == [str(two)]
    assert terminal.left() == {one}
    terminal.run("undelete-results", "--strategy", "macd_cross")
    assert terminal.left() == {one, two}
    with session_scope(terminal.engine) as session:
        late = utc_now() - timedelta(days=8)
        session.execute(update(Backtest).where(Backtest.task_id == three).values(deleted_at=late))
    assert f"{three} was deleted too long ago" in terminal.run("undelete-results", "--all", status=1).output
    assert terminal.json("cleanup-results", "--days", 1, "--dry-run")["purged"] == [str(three)]


def test_stats_by_strategy_state_and_age(terminal: Terminal) -> None:
    largest = saved(terminal.engine, terminal.settings, sound_tables(trades=50, bars=500))
    terminal.save(days=40, strategy="macd_cross", note="\x1b[31mred")
    queued(terminal.engine)
    found = terminal.json("storage-stats")
    assert found["total"]["backtests"] == 3
    assert found["largest"][0]["task_id"] == str(largest)
    text = terminal.run("storage-stats").output
    for words in (
        "macd_cross",
        "completed",
        "queued",
        "within 90 days",
        "within 1 day",
        f"{largest}",
        "0 more are marked",
    ):
        assert words in text
    assert terminal.json("storage-stats", "--metric", "sharpe=1..2", "--symbol", "KRW-BTC")["total"]["backtests"] == 2
    assert terminal.json("storage-stats", "--metric", "sharpe=2..")["total"]["backtests"] == 0
    assert terminal.json("storage-stats", "--period-from", "2030-01-01")["total"]["backtests"] == 0


@on_sqlite
def test_a_strategy_with_a_hostile_name_commands_no_terminal(terminal: Terminal) -> None:
    terminal.save(days=9, strategy="\x1b]0;owned\x07\u202eevil")
    for command in (("storage-stats",), ("cleanup-results", "--days", 1, "--dry-run")):
        text = terminal.run(*command).output
        assert "owned" in text
        assert not set("\x1b\x07\u202e") & set(text)


@pytest.mark.parametrize("form", ["json", "csv", "parquet", "zip"])
def test_export_writes_each_form_once(terminal: Terminal, tmp_path: Path, form: str) -> None:
    one, other = terminal.save(), terminal.save(strategy="macd_cross")
    target = tmp_path / "out.zip"
    report = terminal.json("export-results", "--format", form, "--to", target)
    assert (report["backtests"], report["results"], report["failures"]) == (2, 2, [])
    assert report["bytes"] == target.stat().st_size
    with zipfile.ZipFile(target) as file:
        names = file.namelist()
    assert len([name for name in names if f"{one}" in name]) == (2 if form == "json" else 3)
    assert "exists already" in terminal.run("export-results", "--format", form, "--to", target, status=1).output
    text = terminal.run("export-results", other, "--to", tmp_path / "one").output
    assert "1 results exported" in text
    with (tmp_path / "one" / "backtests.csv").open(encoding="utf-8", newline="") as lines:
        assert [line["task_id"] for line in csv.DictReader(lines)] == [f"{other}"]


def test_export_of_nothing_and_of_the_damaged(terminal: Terminal, tmp_path: Path) -> None:
    assert "nothing was written" in terminal.run("export-results", "--to", tmp_path / "out", status=1).output
    assert not (tmp_path / "out").exists()
    good, bad = terminal.save(), terminal.save()
    (terminal.folder(bad) / "symbol_signals.parquet").unlink()
    answer = terminal.run("export-results", "--to", tmp_path / "out", status=1)
    assert "1 results exported" in answer.output
    assert f"{bad}" in answer.stderr
    assert (tmp_path / "out" / f"{good}").is_dir()


@on_sqlite
def test_benchmark_leaves_nothing_behind(terminal: Terminal) -> None:
    terminal.save()
    before = sorted(path for path in terminal.settings.data_dir.rglob("*") if "benchmark" in path.name)
    report = terminal.json("benchmark-storage", "--trades", 50, "--bars", 100, "--runs", 2)
    assert before == sorted(path for path in terminal.settings.data_dir.rglob("*") if "benchmark" in path.name) == []
    assert set(report["figures"]) == {
        "save a result", "read all of a result", "read one column", "verify a result", "first page of the own list",
    }  # fmt: skip
    assert all(0 < figure["min_ms"] <= figure["median_ms"] <= figure["max_ms"] for figure in report["figures"].values())
    assert "save a result" in terminal.run("benchmark-storage", "--trades", 5, "--bars", 10, "--runs", 1).output
    assert len(terminal.left()) == 1


@on_sqlite
def test_a_database_without_its_table_is_a_sentence(terminal: Terminal) -> None:
    with terminal.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE backtest_results RENAME TO elsewhere")
    assert "the database says: no such table" in terminal.run("storage-stats", status=1).output


@on_sqlite
def test_the_page_about_the_store_names_commands_options_and_tests_that_exist(terminal: Terminal) -> None:
    page = (ROOT / "docs" / "storage.md").read_text("utf-8")
    group = terminal.console.cli
    context = Context(group)
    commands = {name: group.get_command(context, name) for name in group.list_commands(context)}
    for name in set(re.findall(r"flask ([a-z]+-[a-z-]+)", page)):
        assert name in commands, name
    known = {option for command in commands.values() for param in command.params for option in param.opts}
    known |= {option for command in commands.values() for param in command.params for option in param.secondary_opts}
    for option in set(re.findall(r"`?(?<![\w-])(--[a-z][a-z-]+)", page)):
        assert option in {*known, "--help"}, option
    named = re.findall(r"`(?:(test_\w+\.py)::)?(test_\w+)`", page)
    file = ""
    for where, test in named:
        file = where or file
        text = (ROOT / "tests" / "storage_core" / file).read_text("utf-8")
        assert f"\ndef {test}(" in text, f"{file}::{test}"
    assert len(named) >= 10
    for command in COMMANDS:
        assert f"flask {command}" in page
