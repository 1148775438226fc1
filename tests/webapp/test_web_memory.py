"""What the web weighs in memory when nobody uses it: gunicorn's master and the process that has the application."""

import os
import re
import subprocess
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from storage_core.migrate import upgrade
from storage_core.settings import Settings
from tests.services import free_port, wait_for
from workers.supervisor import child_env, web_argv

ROOT = Path(__file__).parents[2]
OF_TESTS = ("rich", "greenlet")
"""Tools that libraries of the product load where they find them: 6 MB."""

LARGEST_MB, OWN_MB = 88, 87
"""Measured: 84 and 82. Of memory that files stand behind only the first counts any: how much of it a process adds
depends on what else runs on the machine."""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells what processes share")
def test_the_web_at_rest_is_light(tmp_path):
    settings = replace(Settings.from_env({"DATA_DIR": str(tmp_path)}), port=free_port())
    upgrade(settings.database_url)
    for name in OF_TESTS:
        (tmp_path / f"{name}.py").write_text("raise ImportError('not in the product')\n")
    env = {**os.environ, **child_env(settings), "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(web_argv(settings), cwd=ROOT, env=env) as web:
        try:
            wait_for(lambda: answers(f"http://127.0.0.1:{settings.port}/login"), seconds=60, what="the first page")
            family = [psutil.Process(web.pid), *psutil.Process(web.pid).children()]
            resident = [process.memory_info().rss / 1e6 for process in family]
            own = [own_megabytes(process.pid) for process in family]
        finally:
            web.terminate()
    assert len(family) == 2
    assert max(resident) < LARGEST_MB, resident
    assert sum(own) < OWN_MB, own


def own_megabytes(pid: int) -> float:
    """Memory that no file stands behind, what processes share divided between them."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss_Anon:\s+(\d+) kB$", rollup, flags=re.MULTILINE)[1]) * 1024 / 1e6


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=20) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False
