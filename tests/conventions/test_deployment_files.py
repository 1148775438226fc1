"""The files people deploy with: valid by their linters and schemas, and all of them start the same processes."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.deployment import procfile

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
UNITS = sorted((ROOT / "docs" / "deployment").glob("coin-hts*"))
BY_NAME = {"web", "worker", "worker-io", "clock"}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False)


def assert_sound(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr


def plain(command: str) -> str:
    """A command without what differs by design: the folder of the program, the address and the number of processes."""
    command = re.sub(r"\S*/bin/", "", command)
    command = re.sub(r"--bind \S+", "--bind ADDRESS", command)
    return re.sub(r"--processes \S+", "--processes N", command)


def composed() -> dict[str, dict[str, object]]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def test_the_dockerfile_has_no_finding():
    assert_sound(run(BIN / "hadolint", "Dockerfile"))


def test_compose_and_workflow_fit_their_schemas():
    check = BIN / "check-jsonschema"
    assert_sound(run(check, "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"))
    assert_sound(run(check, "--builtin-schema", "vendor.github-workflows", ".github/workflows/ci.yml"))


def test_the_shell_scripts_have_no_finding():
    assert_sound(run(BIN / "shellcheck", "dev", ".ci/run", "static/vendor.sh"))


def test_the_units_are_sound(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here: this machine has no systemd")
    installed = tmp_path / "coin-hts"
    installed.mkdir()
    (installed / ".venv").symlink_to(BIN.parent)
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/coin-hts", str(installed)))
    assert_sound(run("systemd-analyze", "verify", *(tmp_path / unit.name for unit in UNITS)))


def test_procfile_compose_and_units_start_the_same_processes():
    wanted = {name: plain(command) for name, command in procfile().items() if name != "release"}
    assert set(wanted) == BY_NAME
    in_units = {
        unit.stem.removeprefix("coin-hts-"): plain(re.search(r"^ExecStart=(.*)$", unit.read_text(), re.M).group(1))
        for unit in UNITS
        if unit.suffix == ".service"
    }
    assert in_units == wanted
    image = re.search(r"^CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.M).group(1)
    in_compose = {name: composed()[name].get("command") or json.loads(image) for name in wanted}
    assert {name: plain(" ".join(command)) for name, command in in_compose.items()} == wanted


def test_every_folder_of_the_product_is_in_the_image():
    copied = set(re.findall(r"^COPY (\w+) \w+$", (ROOT / "Dockerfile").read_text(), re.M))
    assert copied == {"engine", "storage_core", "workers", "webapp", "migrations", "templates", "static"}
