"""The shell blocks of the documentation, run page by page in one scratch product, as they stand there.

Commands of ours run in this process; everything else is a line of a shell. `/srv` is a folder of the test's own, and
what listens on port 8000 is the application on another port.
"""

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from storage_core import migrate
from storage_core.accounts import create_user, set_password
from storage_core.bars import bar_store_for
from storage_core.db import make_engine, session_scope
from storage_core.sample import install_sample
from storage_core.settings import Settings
from tests.databases import missing
from tests.doc_pages import BLOCKS, ROOT
from tests.services import running_valkey
from tests.storage_core.legacy import a_copy
from tests.storage_core.sound import saved
from tests.webapp.programs import make_token
from webapp import create_app, create_console
from webapp.extensions import broker, db
from workers import check_strategy

BIN = Path(sys.executable).parent
RUN = [block for block in BLOCKS if block.mark == "run"]
IN_AN_EMPTY_PLACE = [block for block in BLOCKS if block.mark == "run: in an empty place"]
SETTING = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)")
SAID = {
    "docs/first-hour.md": ('"name":"sma_cross"', "ok    EUR-ETH 1d", "0 of them damaged"),
    "docs/migration.md": ("8 migrated", "8 written, 8 of them byte for byte"),
    "docs/observability.md": ('"status":"alive"',),
    "docs/operations.md": ("/welcome?token=",),
    "docs/troubleshooting.md": ("USD-BTC", "Nothing waits and nothing runs.", "(head)"),
}
PASSWORD = "correct horse battery\n"
PRICES = "date,open,high,low,close,volume\n2024-01-01,1,2,0.5,1.5,7\n2024-01-02,1,2,0.5,1.5,7\n"


class Scratch:
    """A product in a folder of its own, and a person's terminal in it."""

    def __init__(self, folder: Path, queue_url: str) -> None:
        self.folder, self.port = folder, 8000
        self.environment = {"DATA_DIR": str(folder / "data"), "REDIS_URL": queue_url, "TASK_ID": ""}
        (folder / "data").mkdir()
        (folder / "storage_core").symlink_to(ROOT / "storage_core")
        self.said = ""

    def line(self, text: str) -> None:
        """Run one line of a block."""
        text = text.replace("/srv", str(self.folder / "srv")).replace("TASK_ID", self.environment["TASK_ID"])
        if found := SETTING.fullmatch(text.partition("  #")[0].strip()):
            name, value = found.groups()
            assert Settings.from_env({**self.environment, name: value.strip('"')})
        elif text.startswith("flask db current"):  # Alembic's own command needs the flask command around it
            self._shell(text)
        elif text.startswith("flask "):
            self._flask(shlex.split(text, comments=True)[1:])
        else:
            self._shell(text)

    def _flask(self, words: list[str]) -> None:
        if words[0] == "check-strategy":  # becomes another program, which is this one
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                assert check_strategy.main(words[1:]) == 0
            self.said += printed.getvalue()
            return
        if words[:2] == ["db", "upgrade"]:
            migrate.upgrade(Settings.from_env(self.environment).database_url)
            return
        app = create_console(Settings.from_env(self.environment))
        answer = app.test_cli_runner().invoke(args=words, input=PASSWORD)
        with app.app_context():
            db.engine.dispose()
            if "broker" in app.extensions:
                broker().close()
        assert answer.exit_code == 0, (words, answer.output, answer.exception)
        self.said += answer.output

    def _shell(self, text: str) -> None:
        changed = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        environment = {**os.environ, **self.environment, **changed, "FLASK_APP": str(ROOT / "wsgi.py")}
        done = subprocess.run(
            ["sh", "-euc", text], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (text, done.stdout, done.stderr)
        self.said += done.stdout


@pytest.fixture(scope="module")
def queue_url():
    with running_valkey() as url:
        yield url


@pytest.fixture(scope="module")
def scratch(tmp_path_factory, sqlite_template, queue_url):
    """Sample bars, ada with her password, a completed backtest, a legacy folder, and pages that answer."""
    folder = tmp_path_factory.mktemp("terminal")
    scratch = Scratch(folder, queue_url)
    shutil.copyfile(sqlite_template, folder / "data" / "coin-hts.sqlite3")
    settings = Settings.from_env(scratch.environment)
    install_sample(bar_store_for(settings))
    engine = make_engine(settings.database_url)
    with session_scope(engine) as session:
        ada = create_user(session, name="ada", role="admin")
        set_password(session, ada, PASSWORD.strip())
        session.flush()
        owner = ada.id
    scratch.environment["TOKEN"] = make_token(engine, owner, scope="read")
    scratch.environment["TASK_ID"] = str(saved(engine, settings))
    engine.dispose()
    a_copy(folder / "srv" / "legacy")
    (folder / "prices.csv").write_text(PRICES)
    app = create_app(settings)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    scratch.port = server.port
    yield scratch
    server.shutdown()
    thread.join()
    server.server_close()
    with app.app_context():
        db.engine.dispose()
        broker().close()


def lines_of(text: str) -> list[str]:
    """The lines of a block, those that end with a backslash joined, without empty ones and comments."""
    joined = text.replace("\\\n", " ").splitlines()
    return [line for line in joined if line.strip() and not line.lstrip().startswith("#")]


@pytest.mark.parametrize("name", sorted({block.page for block in RUN}))
def test_every_command_of_the_page_works(name, scratch, monkeypatch):
    if shutil.which("curl") is None:
        missing("the commands of the documentation need curl")
    monkeypatch.chdir(scratch.folder)
    monkeypatch.setenv("DATA_DIR", scratch.environment["DATA_DIR"])
    blocks = [block for block in RUN if block.page == name]
    for block in blocks:
        for line in lines_of(block.text.replace("127.0.0.1:8000", f"127.0.0.1:{scratch.port}")):
            scratch.line(line)
    said, scratch.said = scratch.said, ""
    assert [words for words in SAID.get(name, ()) if words not in said] == [], said[-3000:]


@pytest.mark.parametrize("block", IN_AN_EMPTY_PLACE, ids=lambda block: block.where)
def test_commands_for_an_empty_place_work_there(block, tmp_path, sqlite_template, queue_url, monkeypatch):
    monkeypatch.chdir(tmp_path)
    empty = Scratch(tmp_path, queue_url)
    shutil.copyfile(sqlite_template, tmp_path / "data" / "coin-hts.sqlite3")
    for line in lines_of(block.text):
        empty.line(line)
    assert "/setup?token=" in empty.said
