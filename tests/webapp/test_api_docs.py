"""The page about the API, run as it stands against the whole product; and the client in one file."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import missing
from tests.product import Product
from webapp.api.description import operations
from webapp.problems import KINDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
SPEC = {
    "strategy": "sma_cross",
    "symbols": ["USD-BTC"],
    "timeframe": "1h",
    "start_date": "2018-03-01",
    "end_date": "2018-06-30",
}


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    product = Product(tmp_path_factory.mktemp("product") / "data", WORKER_PROCESSES="1").start()
    try:
        flask(product, "create-user", "ada", said="correct horse battery\n")
        yield product
    finally:
        product.stop()


def environment(product: Product) -> dict[str, str]:
    scripts = str(Path(sys.executable).parent)
    changed = {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "DATA_DIR": str(product.data_dir)}
    return {**os.environ, **changed, "URL": product.url, "FLASK_APP": str(ROOT / "wsgi.py"), "PYTHONPATH": str(ROOT)}


def flask(product: Product, *arguments: str, said: str = "") -> str:
    command = [sys.executable, "-m", "flask", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(product), input=said, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_command_on_the_page_works(product, tmp_path):
    if shutil.which("curl") is None:
        missing("the commands on the page need curl")
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 7
    script = "set -eu -o pipefail\n" + "\n".join(f"echo '# block {n}' >&2\n{block}" for n, block in enumerate(blocks))
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment(product),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert '"status":"completed"' in done.stdout
    assert (tmp_path / "trades.csv").read_text().startswith('"symbol"')


@pytest.fixture(scope="module")
def client_module():
    found = importlib.util.spec_from_file_location("coin_hts_client", ROOT / "docs" / "examples" / "client.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def client(product, client_module):
    token = flask(product, "create-token", "ada", "--scope", "write", "--days", "1")
    return client_module.Client(product.url, token)


def test_the_client_runs_and_reads(client, tmp_path):
    result = client.run(**SPEC, params={"fast": 5, "slow": 20})
    assert result["status"] == "completed"
    trades = list(client.trades(result["task_id"]))
    assert len(trades) == result["trade_count"] > 0
    curve = client.equity(result["task_id"], points=200)
    assert len(curve["equity"]) == len(curve["timestamp"]) <= 200
    target = client.export(result["task_id"], tmp_path / "result.zip")
    assert target.read_bytes()[:2] == b"PK"
    again = client.run(**SPEC, params={"fast": 5, "slow": 20}, reuse=True)
    assert again["task_id"] == result["task_id"]
    assert result["task_id"] in [row["task_id"] for row in client.find(status="completed", size=1)]


def test_the_client_keeps_verifies_and_deletes(client, client_module):
    task_id = client.submit(**SPEC)
    assert client.wait(task_id)["status"] == "completed"
    assert client.change(task_id, note="kept", tags=["a"])["note"] == "kept"
    verified = client.wait(client.verify(task_id))
    assert verified["metadata"]["verification"]["outcome"] == "identical"
    with pytest.raises(client_module.ApiError) as refused:
        client.cancel(task_id)
    assert (refused.value.status, refused.value.code) == (409, "not_cancellable")
    client.delete(task_id)
    with pytest.raises(client_module.ApiError, match="not_found"):
        client.get(task_id)
    assert client.restore(task_id)["deleted_at"] is None


def test_the_client_says_what_is_wrong(client, client_module):
    with pytest.raises(client_module.ApiError) as refused:
        client.run(**{**SPEC, "strategy": "sma_cros"})
    assert refused.value.code == "invalid_spec"
    assert "did you mean 'sma_cross'" in refused.value.errors[0]["message"]
    assert {"sma_cross"} <= {one["name"] for one in client.strategies()}
    assert ("USD-BTC", "1h") in {(one["symbol"], one["timeframe"]) for one in client.data()}


def test_the_page_lists_every_operation_and_no_other(trader):
    document = trader.json("/api/v1/openapi.json").json
    listed = set(re.findall(r"^\| `([A-Z]+) (/api/v1/\S+)` \|", PAGE, flags=re.MULTILINE))
    assert listed == {(method.upper(), path) for path, method, _ in operations(document)}


def test_the_page_lists_every_problem_and_no_other():
    listed = re.findall(r"^\| `([a-z_]+)` \| (\d{3}) \| (.+) \|$", PAGE, flags=re.MULTILINE)
    assert listed == [(code, str(kind.status), kind.title) for code, kind in KINDS.items()]


def test_every_code_is_used():
    sources = " ".join(path.read_text() for path in (ROOT / "webapp").rglob("*.py"))
    assert [code for code in KINDS if sources.count(f'"{code}"') < 2] == []
