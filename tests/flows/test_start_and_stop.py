"""Starting and stopping the product, politely and not."""

import os
import re
import signal
import sqlite3
import subprocess
import sys

import pytest

from tests.product import ROOT, Product
from tests.services import wait_for


@pytest.fixture
def product(tmp_path):
    product = Product(tmp_path / "data", WORKER_PROCESSES="1")
    yield product
    product.stop()


def sample_status(product):
    with sqlite3.connect(product.data_dir / "coin-hts.sqlite3", timeout=15) as database:
        rows = database.execute("select status, attempt from backtest_results where source = 'sample'").fetchall()
    database.close()
    return rows


def living(product):
    with sqlite3.connect(product.data_dir / "coin-hts.sqlite3", timeout=15) as database:
        kinds = {kind for (kind,) in database.execute("select kind from processes")}
    database.close()
    return kinds


def test_ctrl_c_leaves_no_process_behind(product):
    product.start()
    assert product.answers()
    for part in ("gunicorn", "dramatiq", "workers.clock", "valkey-server"):
        assert product.find(part), part
    wait_for(lambda: living(product) == {"worker", "worker-io", "clock"}, what="a sign of life of each")
    assert product.press_ctrl_c() == 0
    wait_for(lambda: product.family() == [], what="the end of what was killed")
    assert living(product) == set()


def test_a_second_start_says_that_the_port_is_taken_and_starts_nothing(product, tmp_path):
    product.start()
    wait_for(lambda: re.search("ready.*worker-io", product.output), what="the last process")
    before = {process.pid for process in product.family()}
    for folder in (product.data_dir, tmp_path / "other"):
        second = subprocess.run(
            [sys.executable, "-m", "workers.supervisor"],
            cwd=ROOT,
            env={**os.environ, "PORT": str(product.port), "DATA_DIR": str(folder)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert second.returncode == 1
        assert f"Port {product.port} on 127.0.0.1 is taken" in second.stderr
        assert second.stdout == ""
    assert {process.pid for process in product.family()} == before
    assert product.answers()


def test_a_killed_product_starts_again_with_nothing_lost(product):
    product.start()
    product.kill()
    again = Product(product.data_dir, product.port, WORKER_PROCESSES="1")
    try:
        again.start()
        wait_for(lambda: sample_status(again) and sample_status(again)[0][0] == "completed", seconds=120)
        assert len(sample_status(again)) == 1
        assert again.press_ctrl_c() == 0
        wait_for(lambda: again.family() == [], what="the end of what was killed")
    finally:
        again.stop()


def test_each_process_that_is_killed_comes_back(product):
    product.start()
    for part in ("workers.clock", "valkey-server", "gunicorn", "boot:boot ", "boot:boot_io"):
        main = product.find(part)[0].pid
        os.kill(main, signal.SIGKILL)

        def back(part=part, gone=main):
            return [process for process in product.find(part) if process.pid != gone]

        wait_for(back, what=f"the return of {part}")
    wait_for(product.answers)
    wait_for(lambda: sample_status(product)[0][0] == "completed", seconds=120)
    assert product.process.poll() is None
