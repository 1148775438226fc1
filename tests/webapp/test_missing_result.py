"""The files of a result are gone: every page and every answer that needs them says so, and none of them breaks."""

import shutil

import pytest

from storage_core.result_store import TABLES
from tests.webapp import results

ABOUT_RESULTS = ("/backtests/", "/charts/", "/api/v1/backtests/")
GONE = "The files of this result are gone"
NEEDS_FILES = {"/backtests/{}/trades", "/backtests/{}/trades.csv", "/charts/{}/equity.json",
               "/api/v1/backtests/{}/trades", "/api/v1/backtests/{}/equity", "/api/v1/backtests/{}/export"}  # fmt: skip


@pytest.fixture
def task_id(engine, settings, users):
    return results.complete(engine, settings, owner_id=users["ada"])


@pytest.fixture
def folder(settings, task_id):
    return settings.results_dir / "backtests" / str(task_id)


@pytest.fixture
def addresses(app):
    """Every address that reads something of one backtest and asks for nothing but its id."""
    rules = [rule for rule in app.url_map.iter_rules() if rule.arguments == {"task_id"} and "GET" in rule.methods]
    found = {rule.rule.replace("<uuid:task_id>", "{}") for rule in rules if rule.rule.startswith(ABOUT_RESULTS)}
    assert found >= NEEDS_FILES
    return sorted(found)


def answers(admin, addresses, task_id):
    found = {address: admin.client.get(address.format(task_id)) for address in addresses}
    broken = [f"{address}: {answer.status}" for address, answer in found.items() if answer.status_code >= 500]
    assert broken == []
    return found


def test_all_files_gone(admin, addresses, task_id, folder):
    shutil.rmtree(folder)
    found = answers(admin, addresses, task_id)
    for address in NEEDS_FILES:
        assert (found[address].status_code, GONE in found[address].text) == (404, True), address
        if address.startswith("/api/"):
            assert found[address].json["code"] == "result_missing"
    said = {address for address, answer in found.items() if answer.status_code == 404}
    assert all(GONE in found[address].text for address in said), "a 404 that says something else"
    assert "Backtests" in admin.get("/backtests").text


@pytest.mark.parametrize("name", [*TABLES, "metadata"])
def test_one_file_gone(admin, addresses, task_id, folder, name):
    (next(path for path in folder.iterdir() if path.stem == name)).unlink()
    found = answers(admin, addresses, task_id)
    gone = {address for address, answer in found.items() if answer.status_code == 404}
    assert all(GONE in found[address].text for address in gone)
    assert bool(gone) == (name != "metadata"), "the manifest is for checking, reading does without"
