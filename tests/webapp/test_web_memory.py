"""What the web weighs in memory when nobody uses it: two processes that share what was loaded before the fork."""

import os
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
MOST_MB = 105
"""The product has 92 to 94 (docs/benchmarks.md); here libraries load development tools too, where they find them."""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells what processes share")
def test_the_web_at_rest_is_light(tmp_path):
    settings = replace(Settings.from_env({"DATA_DIR": str(tmp_path)}), port=free_port())
    upgrade(settings.database_url)
    env = {**os.environ, **child_env(settings)}
    with subprocess.Popen(web_argv(settings), cwd=ROOT, env=env) as web:
        try:
            wait_for(lambda: answers(f"http://127.0.0.1:{settings.port}/login"), seconds=60, what="the first page")
            family = [psutil.Process(web.pid), *psutil.Process(web.pid).children()]
            sizes = [process.memory_full_info().pss / 1e6 for process in family]
        finally:
            web.terminate()
    assert len(sizes) == 2
    assert sum(sizes) < MOST_MB, sizes


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=20) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False
