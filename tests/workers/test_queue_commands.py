"""`flask dead-letters` and `flask verify`."""

import json
from dataclasses import replace
from uuid import UUID

import pytest

from storage_core.bar_store import BarStore
from tests.workers.examples import queue, row, wave
from webapp import create_console
from workers import run_backtest
from workers.dead_letters import bury, list_dead
from workers.queue import make_broker
from workers.runtime import Runtime


@pytest.fixture
def runtime(settings, broker_url):
    settings = replace(settings, redis_url=broker_url)
    BarStore(settings.bars_dir).merge("USD-BTC", "1h", wave(31 * 24))
    runtime = Runtime(settings, make_broker(broker_url))
    yield runtime
    runtime.close()


@pytest.fixture
def flask(runtime):
    app = create_console(runtime.settings)
    yield lambda *words: app.test_cli_runner().invoke(args=list(words))
    with app.app_context():
        from webapp.extensions import broker, db

        db.engine.dispose()
        broker().close()


@pytest.fixture
def dead(runtime):
    task_id = queue(runtime, symbols=["USD-DOGE"])
    run_backtest.run(runtime, task_id)
    bury(runtime.broker, task_id, code="disk_problem", reason="the disk is full", traceback="line 1", attempt=3)
    return task_id


def test_status(flask, runtime):
    assert flask("queue-status").output == "Nothing waits and nothing runs.\n"
    task_id = queue(runtime)
    asked = flask("queue-status")
    assert (asked.exit_code, asked.stdout.startswith("nobody, short: 0 running, 1 queued, ")) == (1, True)
    assert "No worker gives a sign of life." in asked.stderr
    runtime.presence.task_id = task_id
    runtime.presence.beat()
    asked = flask("queue-status", "--json")
    report = json.loads(asked.stdout)
    assert (asked.exit_code, report["flows"][0]["queued"]) == (0, 1)
    assert [(one["name"], one["task_id"]) for one in report["processes"]] == [(runtime.worker_name, str(task_id))]


def test_list(flask, dead):
    report = json.loads(flask("dead-letters", "list", "--json").output)
    assert [letter["task_id"] for letter in report["dead_letters"]] == [str(dead)]
    said = flask("dead-letters", "list").output
    assert f"{dead} attempt 3 disk_problem" in said
    assert "the disk is full" in said
    assert "line 1" not in said
    assert "line 1" in flask("dead-letters", "list", "--traceback").output


def test_retry(flask, dead, runtime):
    assert flask("dead-letters", "retry", "--all").output == f"{dead} is queued again.\n"
    assert row(runtime, dead).status == "queued"
    assert flask("dead-letters", "list").output == "There are no dead letters.\n"
    assert "is not failed" in flask("dead-letters", "retry", str(dead)).output


def test_discard(flask, dead, runtime):
    assert flask("dead-letters", "discard", str(dead)).output == f"{dead} was discarded.\n"
    assert list_dead(runtime.broker) == []
    assert row(runtime, dead).status == "failed"


def test_which_one_has_to_be_said(flask, dead):
    assert flask("dead-letters", "retry").exit_code == 2
    assert flask("dead-letters", "retry", str(dead), "--all").exit_code == 2


def test_verify(flask, runtime, dead):
    task_id = queue(runtime)
    run_backtest.run(runtime, task_id)
    said = flask("verify", str(task_id)).output
    assert run_backtest.run_next(runtime)
    again = row(runtime, UUID(said.split()[0]))
    assert again.metadata_["verification"]["outcome"] == "identical"
    refused = flask("verify", str(dead))
    assert (refused.exit_code, "is failed" in refused.output) == (1, True)
