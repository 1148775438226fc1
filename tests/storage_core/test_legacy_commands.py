"""flask migrate-results and rollback-results: what they print, what they write, how they end."""

import json
import re
from pathlib import Path

import click
import pytest
from click.testing import Result
from sqlalchemy import Engine

from storage_core.settings import Settings
from tests.storage_core.legacy import BASIC, SAMPLES, TIMES, a_copy, files, rows, sample
from webapp import create_console
from webapp.commands.results import migrate_results, rollback_results

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
DOCS = Path(__file__).parents[2] / "docs" / "migration.md"


def flask(settings: Settings, *args: str) -> Result:
    return create_console(settings).test_cli_runner().invoke(args=list(args))


@on_sqlite
def test_from_dry_run_to_roll_back(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    source, report = a_copy(tmp_path / "legacy"), tmp_path / "report.json"
    asked = ["migrate-results", "--source-dir", str(source), "--report", str(report)]
    planned = flask(settings, *asked, "--dry-run", "--json")
    assert planned.exit_code == 0
    assert rows(engine) == {}
    done = flask(settings, *asked)
    assert done.exit_code == 0
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines[:4] == ["8 found", "8 migrated", "0 skipped", "0 failed"]
    assert lines[4].startswith("15.6 kB before, ")
    assert lines[5].endswith("files a second")
    written = json.loads(report.read_text())
    assert {k: v for k, v in written.items() if k not in TIMES} == {
        k: v for k, v in json.loads(planned.stdout).items() if k not in TIMES
    }
    back = flask(settings, "rollback-results", "--target-dir", str(tmp_path / "back"), "--json")
    assert back.exit_code == 0
    assert json.loads(back.stdout)["same_bytes"] == 8
    assert files(tmp_path / "back") == files(SAMPLES)


@on_sqlite
def test_a_failure_is_named_and_ends_with_status_1(settings: Settings, tmp_path: Path) -> None:
    source = a_copy(tmp_path / "legacy")
    (source / "results" / f"{BASIC}.json").write_bytes(sample(lambda document: document.update({"strategy": "mine"})))
    done = flask(settings, "migrate-results", "--source-dir", str(source))
    assert done.exit_code == 1
    assert f"results/{BASIC}.json: strategy is 'mine', an unknown strategy; " in done.stderr
    done = flask(settings, "migrate-results", "--source-dir", str(source), "--also-strategy", "mine")
    assert (done.exit_code, done.stdout.split()[:4]) == (0, ["1", "found", "1", "migrated"])


@on_sqlite
def test_what_concerns_the_whole_run_is_a_sentence(settings: Settings, tmp_path: Path) -> None:
    done = flask(settings, "migrate-results", "--source-dir", str(tmp_path / "nowhere"))
    assert (done.exit_code, done.stderr) == (1, f"Error: {tmp_path / 'nowhere'} does not exist\n")
    done = flask(settings, "migrate-results", "--source-dir", str(tmp_path), "--cutoff", "soon")
    assert done.exit_code == 2
    assert "'soon' is not a date such as 2026-11-01" in done.stderr


@on_sqlite
def test_whether_results_shrink_or_grow_is_said(settings: Settings, tmp_path: Path) -> None:
    done = flask(settings, "migrate-results", "--source-dir", str(a_copy(tmp_path / "legacy")), "--dry-run")
    assert re.search(r" after: \d+\.\d% more\n", done.stdout), "the samples have a handful of trades each"


@on_sqlite
def test_a_place_that_cannot_be_written_stops_a_roll_back_with_one_sentence(settings: Settings, tmp_path: Path) -> None:
    assert flask(settings, "migrate-results", "--source-dir", str(a_copy(tmp_path / "legacy"))).exit_code == 0
    (tmp_path / "file").touch()
    done = flask(settings, "rollback-results", "--target-dir", str(tmp_path / "file" / "below"))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: cannot write {tmp_path / 'file' / 'below'}")
    assert done.stderr.count("\n") == 1


@on_sqlite
def test_a_database_without_tables_is_a_sentence(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE backtest_events")
        connection.exec_driver_sql("DROP TABLE backtest_results")
    source = a_copy(tmp_path / "legacy")
    done = flask(settings, "migrate-results", "--source-dir", str(source))
    assert (done.exit_code, files(source)) == (1, files(SAMPLES))
    assert done.stderr.startswith("Error: the database says: no such table: backtest_results; ")


def test_the_guide_names_every_option_and_only_real_ones() -> None:
    text = DOCS.read_text(encoding="utf-8")
    real = set()
    for command in (migrate_results, rollback_results):
        assert f"flask {command.name}" in text
        real |= {name for param in command.params if isinstance(param, click.Option) for name in param.opts}
    words = text.replace("-->", " ").replace("`", " ").split()
    named = {word.strip("`,.;:)").partition("=")[0] for word in words if word.startswith("--")}
    assert real <= named
    assert named - real <= {"--help", "--dry-run"}
