"""The documentation of backups: its commands are run as they stand, its policies are valid and say what is needed."""

import ast
import json
import re
import shlex
from pathlib import Path

import pytest
from sqlalchemy import Engine

from storage_core import migrate
from storage_core.settings import VARIABLES, Settings
from tests.s3 import s3_server
from tests.storage_core.installation import SQLITE, all_bytes, all_rows, filled
from webapp import create_console
from webapp.extensions import db

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "backup.md").read_text(encoding="utf-8")
ACTIONS = {
    "get_object": "s3:GetObject",
    "head_object": "s3:GetObject",
    "put_object": "s3:PutObject",
    "create_multipart_upload": "s3:PutObject",
    "upload_part": "s3:PutObject",
    "complete_multipart_upload": "s3:PutObject",
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "delete_object": "s3:DeleteObject",
    "head_bucket": "s3:ListBucket",
    "list_objects_v2": "s3:ListBucket",
    "list_multipart_uploads": "s3:ListBucketMultipartUploads",
}
"""What Amazon asks for each call, by its documentation of S3's actions."""


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


def run_line(line: str, environment: dict[str, str]) -> str:
    """One line of a shell: a setting, or a command of ours, as a process of its own would run it."""
    words = shlex.split(line)
    if words[0] == "export":
        name, _, value = words[1].partition("=")
        environment[name] = value
        return ""
    assert words[0] == "flask"
    app = create_console(Settings.from_env(environment))
    if words[1] == "db":  # Alembic's own command needs the flask command around it
        migrate.upgrade(environment["DATABASE_URL"])
        return ""
    answer = app.test_cli_runner().invoke(args=words[1:])
    with app.app_context():
        db.engine.dispose()
    assert answer.exit_code == 0, answer.output
    return answer.output


@SQLITE
def test_the_drill_as_it_stands(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    """Every line of every sh block, in order; only /srv is another folder."""
    filled(engine, settings)
    environment = {
        "DATA_DIR": str(settings.data_dir),
        "DATABASE_URL": settings.database_url,
        "BACKUP_URI": f"{tmp_path}/srv/coin-hts/backups",
    }
    lines = "".join(blocks("sh")).replace("/srv", f"{tmp_path}/srv").splitlines()
    said = "".join(run_line(line, environment) for line in lines)
    assert len(lines) == 10
    assert re.search(r"^Backup \d{8}T\d{6}Z: \d+ files, 4 results", said, flags=re.MULTILINE)
    assert said.count("0 of them damaged") == 2
    there = tmp_path / "srv" / "coin-hts-restored"
    assert environment["DATA_DIR"] == str(there)
    assert all_rows(environment["DATABASE_URL"])["users"] == all_rows(settings.database_url)["users"]
    assert all_bytes(Settings(data_dir=there, database_url="", secret_key="")) == all_bytes(settings)


def test_every_promise_has_its_test() -> None:
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", TEXT)
    assert len(named) > 20
    for file, function in named:
        [path] = ROOT.glob(f"tests/*/{file}")
        functions = {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}
        assert function in functions, f"{file}::{function}"


def test_the_account_may_do_what_the_provider_calls_and_nothing_else() -> None:
    calls = set()
    for path in (ROOT / "storage_core").glob("object_s3*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                first = node.args[0]
                if node.func.attr in ("call", "once", "_call") and isinstance(first, ast.Constant):
                    calls.add(first.value)
    policy = json.loads(blocks("json")[0])
    allowed = [action for statement in policy["Statement"] for action in statement["Action"]]
    assert sorted(allowed) == sorted({ACTIONS[call] for call in calls})
    assert policy["Version"] == "2012-10-17"
    for statement in policy["Statement"]:
        objects = not any("List" in action for action in statement["Action"])
        assert statement["Effect"] == "Allow"
        assert statement["Resource"].endswith("/*") == objects, "objects below a prefix, listings of the bucket"


def test_the_lifecycle_is_taken_by_a_server_and_never_lets_current_objects_expire() -> None:
    lifecycle = json.loads(blocks("json")[1])
    with s3_server("moto").provider() as provider:
        provider._client.call("put_bucket_lifecycle_configuration", None, LifecycleConfiguration=lifecycle)
        kept = provider._client.call("get_bucket_lifecycle_configuration", None)["Rules"]
    assert [rule["ID"] for rule in kept] == [rule["ID"] for rule in lifecycle["Rules"]]
    assert kept[0]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    assert all(set(rule.get("Expiration", {})) <= {"ExpiredObjectDeleteMarker"} for rule in kept)


@pytest.mark.parametrize("setting", ["BACKUP_URI", "TIMEZONE", "DATA_DIR"])
def test_the_settings_it_names_exist(setting: str) -> None:
    assert f"`{setting}`" in TEXT
    assert setting in {variable.name for variable in VARIABLES}
