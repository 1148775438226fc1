"""`./dev check` compares what is shipped with known holes, and says so when it could not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.advisories import UNANSWERED, judge

ROOT = Path(__file__).parents[2]
SOUND = {"name": "flask", "version": "3.1.2", "vulns": []}
HOLED = {"name": "jinja2", "version": "3.0.0", "vulns": [{"id": "GHSA-x", "fix_versions": ["3.1.6"]}]}
UNKNOWN = {"name": "ours", "skip_reason": "not found"}


def report(*packages: object) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


@pytest.mark.parametrize(
    ("text", "words", "status"),
    [
        (report(SOUND, UNKNOWN), "no known holes in 1 packages; not known to the service: ours", 0),
        (report(SOUND, HOLED), "jinja2 3.0.0: GHSA-x, fixed in 3.1.6", 1),
    ],
)
@pytest.mark.parametrize("required", [False, True])
def test_holes_fail_everywhere(text, words, status, required):
    said, given = judge(text, required=required)
    assert words in said
    assert given == status


@pytest.mark.parametrize("text", ["", "Traceback ...", "[]", "{}", report(), report(UNKNOWN)])
def test_no_answer_is_said_and_fails_where_it_must_be_known(text):
    assert judge(text, required=False) == (UNANSWERED, 0)
    assert judge(text, required=True) == (UNANSWERED, 1)


def test_the_public_forge_must_know():
    command = [sys.executable, "-m", "tests.advisories"]
    for environment, status in (({}, 0), ({"GITHUB_ACTIONS": "true"}, 1)):
        env = {"PATH": "/usr/bin:/bin", **environment}
        done = subprocess.run(command, cwd=ROOT, input="", env=env, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (status, UNANSWERED + "\n")


def test_dev_check_asks():
    script = (ROOT / "dev").read_text(encoding="utf-8")
    check = script.split("    check)")[1].split(";;")[0]
    assert "advisories" in check
    assert "pip-audit --require-hashes" in script
    assert "-r requirements.lock" in script
