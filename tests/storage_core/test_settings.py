"""The settings: defaults, every bad value named, secrets from files and kept out of sight."""

import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage_core.errors import SettingsError
from storage_core.settings import VARIABLES, Settings

SECRET = "a secret of more than sixteen"


def settings(folder: Path, **environ: str) -> Settings:
    return Settings.from_env({"DATA_DIR": str(folder), **environ})


def test_defaults(tmp_path: Path) -> None:
    made = settings(tmp_path / "data")
    assert (made.host, made.port, made.timezone, made.log_format) == ("127.0.0.1", 8000, "UTC", "console")
    assert made.database_url == f"sqlite:///{tmp_path}/data/coin-hts.sqlite3"
    assert (made.redis_url, made.broker_url) == (None, f"unix://{tmp_path}/data/valkey.sock")
    assert (made.results_dir, made.bars_dir) == (tmp_path / "data/results", tmp_path / "data/bars")
    assert made.worker_processes >= 1
    assert (tmp_path / "data").is_dir()


def test_the_secret_is_made_once_and_is_private(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: settings(tmp_path).secret_key, range(16)))
    assert len(keys) == 1
    assert len(keys.pop()) >= 43
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"secret_key", "strategies"}, "no temporary file stays"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgres://u:p%40ss@h:5433/lab", "postgresql+psycopg://u:p%40ss@h:5433/lab"),
        ("postgresql://h/lab", "postgresql+psycopg://h/lab"),
        ("postgresql+psycopg://h/lab?sslmode=require", "postgresql+psycopg://h/lab?sslmode=require"),
        ("sqlite:////var/lab.sqlite3", "sqlite:////var/lab.sqlite3"),
        ("sqlite:////var/a%20b.db", "sqlite:////var/a b.db"),
        ("sqlite+pysqlite:////var/lab.db", "sqlite:////var/lab.db"),
    ],
)
def test_database_addresses(tmp_path: Path, given: str, used: str) -> None:
    assert settings(tmp_path, DATABASE_URL=given).database_url == used


@pytest.mark.parametrize(("given", "used"), [("", "6000 per minute"), ("5 per second", "5 per second"), ("none", None)])
def test_the_rate_limit_of_the_api(tmp_path: Path, given: str, used: str | None) -> None:
    assert settings(tmp_path, API_RATE_LIMIT=given).api_rate_limit == used


def test_web_sites_that_may_call_the_api(tmp_path: Path) -> None:
    assert settings(tmp_path).cors_origins == ()
    both = settings(tmp_path, CORS_ORIGINS="https://lab.example, http://localhost:3000")
    assert both.cors_origins == ("https://lab.example", "http://localhost:3000")


def test_a_relative_sqlite_file_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings(tmp_path, DATABASE_URL="sqlite:///lab.db").database_url == f"sqlite:///{tmp_path}/lab.db"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("API_RATE_LIMIT", "many", "6000 per minute"),
        ("CORS_ORIGINS", "*", "https://lab.example"),
        ("CORS_ORIGINS", "https://lab.example/", "without a path"),
        ("PORT", "0", "from 1 to 65535"),
        ("PORT", "65536", "from 1 to 65535"),
        ("PORT", "eighty", "'eighty'"),
        ("WORKER_PROCESSES", "0", "from 1 to 256"),
        ("HOST", "http://localhost/", "a host name"),
        ("TIMEZONE", "Asia/Seol", "did you mean 'Asia/Seoul'?"),
        ("TIMEZONE", "../../etc/passwd", "a name such as UTC"),
        ("LOG_FORMAT", "xml", "console or json"),
        ("SECRET_KEY", "fifteen letters", "at least 16"),
        ("DATABASE_URL", "mysql://u:hidden@h/x", "'mysql'"),
        ("DATABASE_URL", "sqlite://", "several processes share it"),
        ("DATABASE_URL", "hidden", "not an address"),
        ("REDIS_URL", "hidden@host:6379", "redis://"),
    ],
)
def test_bad_values_are_named_with_what_is_allowed(tmp_path: Path, name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(tmp_path, **{name: value})
    assert caught.value.name == name
    assert said in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_data_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SettingsError, match="DATA_DIR"):
        settings(tmp_path / "file" / "data")


def test_secrets_from_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET + "\n")
    assert settings(tmp_path, SECRET_KEY_FILE=str(tmp_path / "key")).secret_key == SECRET
    with pytest.raises(SettingsError, match="only one of the two"):
        settings(tmp_path, SECRET_KEY=SECRET, SECRET_KEY_FILE=str(tmp_path / "key"))
    with pytest.raises(SettingsError, match="SECRET_KEY_FILE"):
        settings(tmp_path, SECRET_KEY_FILE=str(tmp_path / "nothing"))
    (tmp_path / "empty").touch()
    with pytest.raises(SettingsError, match="empty file"):
        settings(tmp_path, DATABASE_URL_FILE=str(tmp_path / "empty"))


def test_the_repr_shows_no_secret(tmp_path: Path) -> None:
    made = settings(
        tmp_path, SECRET_KEY=SECRET, DATABASE_URL="postgresql://u:hidden@h/x", REDIS_URL="redis://:hidden@h"
    )
    assert SECRET not in repr(made)
    assert "hidden" not in repr(made)


def test_a_long_data_folder_gets_a_short_socket(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    first, second = settings(folder), settings(folder)
    assert len(str(first.socket_path)) < 100
    assert first.socket_path == second.socket_path
    assert first.socket_path != settings(folder.with_name("other" * 30)).socket_path


def test_dotenv_is_read_and_never_overrides(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=9001\nTIMEZONE=Asia/Seoul\n")
    program = "from storage_core.settings import Settings as S; s = S.from_env(); print(s.port, s.timezone)"
    root = Path(__file__).parents[2]
    environ = {"PORT": "9002", "DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(root)}
    printed = subprocess.check_output([sys.executable, "-c", program], cwd=tmp_path, env=environ, text=True)
    assert printed.split() == ["9002", "Asia/Seoul"]


def test_every_variable_has_help() -> None:
    assert len({variable.name for variable in VARIABLES}) == len(VARIABLES)
    assert all(variable.help.endswith(".") for variable in VARIABLES)
