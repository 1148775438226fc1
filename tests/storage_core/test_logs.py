"""One format for every process: each line of JSON is an object with what is bound, whoever speaks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from storage_core.errors import SettingsError
from storage_core.logs import current_request_id
from storage_core.settings import Settings, read_log_format

ROOT = Path(__file__).parents[2]
SPEAK = """
import logging, sys, structlog
from storage_core.logs import configure_logs
configure_logs(sys.argv[1], process="worker")
structlog.contextvars.bind_contextvars(request_id="abcdefgh", task_id="7")
structlog.get_logger("worker").info("ours", count=3, path="a\\nforged")
logging.getLogger("library").warning("theirs %s", "too")
logging.getLogger("dramatiq").info("chatter")
structlog.get_logger("access").info("request")
structlog.get_logger("access").warning("slow request")
password = "hunter2"
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("worker").error("broke", exc_info=True)
"""


def said(log_format):
    done = subprocess.run(
        [sys.executable, "-c", SPEAK, log_format], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr


def test_machines_get_one_object_a_line_with_what_is_bound():
    lines = [json.loads(line) for line in said("json").splitlines()]
    assert [line["event"] for line in lines] == ["ours", "theirs too", "request", "slow request", "broke"]
    for line in lines:
        assert (line["request_id"], line["task_id"], line["process"]) == ("abcdefgh", "7", "worker")
        assert {"timestamp", "level", "logger"} <= set(line)
    assert (lines[0]["count"], lines[0]["path"]) == (3, "a\nforged")
    assert "ZeroDivisionError" in lines[-1]["exception"]


def test_people_get_lines_without_routine_requests_and_without_local_variables():
    text = said("console")
    assert "ours" in text
    assert "theirs too" in text
    assert "slow request" in text
    assert "\nforged" not in text
    assert " request  " not in text.replace("slow request", "")
    assert "ZeroDivisionError" in text
    assert "hunter2" not in text.replace('password = "hunter2"', "")


def test_the_format_alone_is_read_as_all_settings_read_it(tmp_path):
    for said in ("json", "console"):
        environ = {"DATA_DIR": str(tmp_path), "LOG_FORMAT": said}
        assert read_log_format(environ) == Settings.from_env(environ).log_format == said
    with pytest.raises(SettingsError, match="LOG_FORMAT"):
        read_log_format({"LOG_FORMAT": "xml"})


@pytest.mark.parametrize("bound", ["", "abcdefgh"])
def test_the_request_at_work(bound):
    with structlog.contextvars.bound_contextvars(**({"request_id": bound} if bound else {})):
        assert current_request_id() == bound
