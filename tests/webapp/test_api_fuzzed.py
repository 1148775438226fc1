"""Requests made up by schemathesis from the description: none breaks the API, none gets an answer it does not describe.

A few examples of each operation by default, the same ones every time; API_FUZZ_EXAMPLES=500 for a long night.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, given, seed, settings

from storage_core import backtest_keeping, jobs
from storage_core.db import session_scope
from tests.webapp import results
from tests.webapp.programs import make_token
from webapp import create_app
from webapp.extensions import db, limiter

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is in the development lock")

from schemathesis.checks import CHECKS  # noqa: E402
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig  # noqa: E402
from schemathesis.core.parameters import ParameterLocation  # noqa: E402
from schemathesis.generation import GenerationMode  # noqa: E402

EXAMPLES = int(os.environ.get("API_FUZZ_EXAMPLES", "12"))
OPERATIONS = (
    "run_backtest", "submit_backtest", "list_backtests", "get_backtest", "backtest_status", "cancel_backtest",
    "verify_backtest", "change_backtest", "delete_backtest", "restore_backtest", "list_trades", "read_equity",
    "export_backtest", "strategies", "data", "list_presets", "save_preset", "delete_preset",
    "upload_data", "fetch_data", "job_status", "cancel_job",
)  # fmt: skip
# What is well formed may still be refused for what it means: a strategy or a symbol that is not there, a cursor that
# nobody made, an Idempotency-Key that was used for another request.
MEANING = {*OPERATIONS} - {
    "get_backtest",
    "backtest_status",
    "delete_backtest",
    "export_backtest",
    "strategies",
    "data",
    "list_presets",
    "delete_preset",
}
WITHOUT_INPUT = ("strategies", "data")
# These need more than one request and a memory of what was made.
SEQUENCES = {"use_after_free", "ensure_resource_availability"}


@pytest.fixture
def fuzzed(settings, bars, users):
    """No limits, and nobody waits: sixty seconds an example would be long."""
    app = create_app(replace(settings, api_rate_limit=None))
    app.extensions["api_seats"] = threading.BoundedSemaphore(1)
    app.extensions["api_seats"].acquire()
    yield app
    with app.app_context():
        limiter.reset()
        db.engine.dispose()
    if "broker" in app.extensions:
        app.extensions["broker"].close()


@pytest.fixture
def ids(engine, settings, users) -> list[UUID]:
    """One completed, one that waits, one deleted."""
    made = [results.complete(engine, settings, owner_id=users["tom"]) for _ in range(2)]
    with session_scope(engine) as session:
        backtest_keeping.delete(session, made[1], by="test")
    return [made[0], results.queue(engine, owner_id=users["tom"]), made[1]]


@pytest.fixture
def job_id(engine, users) -> UUID:
    """A job that waits for its worker."""
    with session_scope(engine) as session:
        return jobs.create(session, kind="fetch_bars", args={}, owner_id=users["tom"]).job_id


@pytest.fixture
def find(fuzzed: Flask, engine, users) -> Callable:
    headers = {"Authorization": f"Bearer {make_token(engine, users['tom'])}", "Accept-Encoding": "identity"}
    generation = GenerationConfig(database="none")
    project = ProjectConfig(headers=headers, generation=generation)
    config = SchemathesisConfig(projects=ProjectsConfig(default=project))
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", fuzzed, config=config, headers=headers)
    operations = {one.ok().definition.raw["operationId"]: one.ok() for one in schema.get_all_operations()}

    def found(name: str):
        return operations[name], headers

    found.names = set(operations)
    return found


def test_every_operation_is_fuzzed(find):
    assert find.names == set(OPERATIONS)


CASES = [
    pytest.param(name, mode, id=f"{name}-{mode.value}")
    for name in OPERATIONS
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    if mode == GenerationMode.POSITIVE or name not in WITHOUT_INPUT
]


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_nothing_breaks_it(find, ids, job_id, name, mode):
    operation, headers = find(name)
    checks = [CHECKS.get_one(check) for check in CHECKS.get_all_names() if check not in SEQUENCES]
    if name in MEANING:
        checks = [check for check in checks if check.__name__ != "positive_data_acceptance"]
    tried = []

    @seed(7)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def probe(case):
        if _path_is_sound(case, "task_id"):
            case.path_parameters["task_id"] = f"{ids[len(tried) % len(ids)]}"
        if _path_is_sound(case, "job_id"):
            case.path_parameters["job_id"] = f"{job_id}"
        response = case.call(headers=headers)
        tried.append(response.status_code)
        case.validate_response(response, checks=checks, headers=headers)

    probe()
    assert tried
    assert all(status < 500 for status in tried), tried


def _path_is_sound(case, name) -> bool:
    part = case.meta.components.get(ParameterLocation.PATH) if case.meta else None
    return name in (case.path_parameters or {}) and (part is None or part.mode == GenerationMode.POSITIVE)
