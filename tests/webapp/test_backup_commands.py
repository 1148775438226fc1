"""`flask backup`: what each command says, what it does, and how it ends."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click import Context
from click.testing import Result
from flask import Flask
from sqlalchemy import Engine

from storage_core import jobs
from storage_core.backup_store import backup_store
from storage_core.db import session_scope
from storage_core.settings import Settings
from tests.storage_core.installation import all_rows, filled
from webapp.commands.backup import backup
from webapp.extensions import db

COMMANDS = sorted(backup.commands)


@dataclass
class Terminal:
    """Somebody with a terminal."""

    console: Flask
    engine: Engine
    settings: Settings

    def run(self, *arguments: object, status: int = 0) -> Result:
        answer = self.console.test_cli_runner().invoke(args=["backup", *map(str, arguments)])
        assert answer.exit_code == status, (answer.output, answer.exception)
        return answer

    def json(self, *arguments: object, status: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", status=status).stdout)

    def recorded(self) -> list[tuple[str, str]]:
        with session_scope(self.engine) as session:
            return sorted((job.kind, job.status) for job in jobs.listed(session))

    def flip(self, name: str) -> str:
        """Damage the object of a file in the newest backup; its sha256."""
        store = backup_store(self.settings)
        files = store.files(store.manifest(store.find("latest")))
        sha256 = next(file.content.sha256 for file in files if file.path.endswith(name))
        (Path(store.where) / store.key(sha256)).write_bytes(b"flipped")
        return sha256


@pytest.fixture
def terminal(console: Flask, engine: Engine, settings: Settings) -> Terminal:
    filled(engine, settings)
    return Terminal(console, engine, settings)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_an_example(console: Flask, name: str) -> None:
    text = console.test_cli_runner().invoke(args=["backup", name, "--help"]).output
    assert "Example: flask backup" in text
    assert "--json" in text
    assert backup.commands[name].get_short_help_str()
    assert Context(backup.commands[name]).get_help()


def test_from_the_first_backup_to_a_restore(terminal: Terminal, tmp_path: Path) -> None:
    assert "There are no backups yet. Take one: flask backup" in terminal.run("list").output
    said = terminal.run().output
    name = re.match(r"Backup (\S+): \d+ files, 4 results, [\d.]+ kB\n", said)[1]
    assert "were new" in said
    assert "0 of them damaged or gone" in terminal.run("verify").output
    assert f"Backup {name} restored into scratch" in terminal.run("rehearse").output
    assert "1 backups stay" in terminal.run("prune").output
    listed = terminal.run("list").output
    assert re.search(rf"{name} .* files  rehearsed \d{{4}}-\d\d-\d\d, verified \d{{4}}-\d\d-\d\d\n", listed)
    there = tmp_path / "there"
    before = all_rows(terminal.settings.database_url)["users"]
    said = terminal.run("restore", name[:8], "--into", there).output
    assert f"DATA_DIR={there}" in said
    assert f"DATABASE_URL=sqlite:///{there}/coin-hts.sqlite3" in said
    assert f"BACKUP_URI={terminal.settings.data_dir}/backups" in said
    assert all_rows(f"sqlite:///{there}/coin-hts.sqlite3")["users"] == before
    said = terminal.run("restore", "latest", "--into", there, status=1).output
    assert "is not empty" in said
    assert "Nothing was changed" in said
    kinds = ("backup", "prune_backups", "rehearse_backup", "verify_backup")
    assert terminal.recorded() == [(kind, "completed") for kind in kinds]


def test_reports_for_machines(terminal: Terminal, tmp_path: Path) -> None:
    made = terminal.json("create")
    assert (made["result_count"], made["problems"]) == (4, [])
    [listed] = terminal.json("list")["backups"]
    assert (listed["id"], listed["checks"]) == (made["id"], [])
    assert terminal.json("verify", "--sample", "1/7")["part"].endswith(" of 7")
    assert terminal.json("prune", "--dry-run")["kept"] == [made["id"]]
    assert terminal.json("rehearse")["sound"] is True
    done = terminal.json("restore", "latest", "--into", tmp_path / "there")
    assert (done["backup"], done["tables"]["users"]) == (made["id"], 1)
    assert done["switch"]["DATA_DIR"] == str(tmp_path / "there")


def test_damage_is_named_and_ends_with_status_1(terminal: Terminal, tmp_path: Path) -> None:
    terminal.run("create")
    sha256 = terminal.flip("symbol_signals.parquet")
    said = terminal.run("verify", status=1).output
    assert f"objects/{sha256[:2]}/{sha256}: its sha256 is " in said
    assert re.search(r"    results/backtests/\S+/symbol_signals.parquet\n", said)
    assert "; backtest " in said
    assert terminal.json("verify", status=1)["findings"][0]["problem"].startswith("its sha256 is")
    assert "damaged" in terminal.run("rehearse", status=1).output
    assert "DAMAGED" in terminal.run("list").output
    assert "the backup is damaged" in terminal.run("restore", "latest", "--into", tmp_path / "there", status=1).output
    terminal.run("verify", "--set-aside", status=1)
    terminal.run("create")
    terminal.run("verify")


def test_a_file_that_is_gone_is_named_and_the_backup_is_made(terminal: Terminal) -> None:
    victim = next((terminal.settings.results_dir / "backtests").glob("*/symbol_signals.parquet"))
    victim.unlink()
    said = terminal.run("create", status=1).output
    assert f"{victim.parent.name}/symbol_signals.parquet: it does not exist" in said
    assert len(terminal.json("list")["backups"]) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("verify", "2001"), 1, "there is no backup '2001'"),
        (("verify", "--sample", "7"), 2, "is not a part such as 1/7"),
        (("restore", "latest"), 2, "Missing option '--into'"),
        (("restore", "latest", "--into", "x", "--database-url", "not an address"), 2, "not an address (not shown"),
        (("rehearse",), 1, "there is none yet"),
    ],
)
def test_wrong_use_is_explained(terminal: Terminal, arguments: tuple[str, ...], status: int, said: str) -> None:
    assert said in terminal.run(*arguments, status=status).output


def test_backups_can_be_verified_without_a_database(terminal: Terminal, tmp_path: Path) -> None:
    terminal.run("create")
    with terminal.console.app_context():
        db.engine.dispose()
    Path(terminal.settings.database_url.removeprefix("sqlite:///")).rename(tmp_path / "gone.sqlite3")
    said = terminal.run("verify").output
    assert "0 of them damaged or gone" in said
    assert "This is not noted in the database" in said
