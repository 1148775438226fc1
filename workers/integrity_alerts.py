"""Alerts about stored results that are not what was stored: files that are gone, contents that have changed."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import Engine

from storage_core import alerts, verify
from storage_core.alerts import Problem
from storage_core.db import session_scope
from storage_core.models import Backtest
from storage_core.result_root import result_root
from storage_core.settings import Settings

KIND = "integrity"
FILES, CONTENTS = "files:", "contents:"


def alert_missing(engine: Engine, damaged: Mapping[UUID, str]) -> None:
    """Make the alerts about missing files those in `damaged`, which is of all results (`reconcile`)."""
    found = {f"{FILES}{task_id}": _problem(task_id, said) for task_id, said in damaged.items()}
    few = alerts.few(found, more=f"{FILES}more", what="stored results are missing or damaged")
    with session_scope(engine) as session:
        alerts.settle(session, KIND, few, prefix=FILES, still=found.keys())


def alert_changed(engine: Engine, settings: Settings, report: verify.Report) -> None:
    """Open alerts for what `report` found, and close those of results that are sound again or gone.

    A report is of a part of the results, so the others that have an alert are read again.
    """
    words = {one.task_id: f"{one.path}: {one.problem}" for one in reversed(report.findings)}
    found = {f"{CONTENTS}{task_id}": _problem(task_id, said) for task_id, said in words.items()}
    with session_scope(engine) as session:
        known = {one.key for one in alerts.open_alerts(session, kind=KIND) if one.key.startswith(CONTENTS)}
    still = {key for key in known - found.keys() if _holds(engine, settings, key)}
    few = alerts.few(found, more=f"{CONTENTS}more", what="stored results are not what was stored")
    with session_scope(engine) as session:
        alerts.settle(session, KIND, few, prefix=CONTENTS, still=still | found.keys())


def _holds(engine: Engine, settings: Settings, key: str) -> bool:
    """Whether the result that the alert `key` names is damaged still; one that says "and more" is not, until told."""
    name = key.removeprefix(CONTENTS)
    if name == "more":
        return False
    with session_scope(engine) as session:
        row = session.get(Backtest, UUID(name))
    if row is None or row.deleted_at is not None or row.status != "completed":
        return False
    return next(verify.check(result_root(settings), row), None) is not None


def _problem(task_id: UUID, said: str) -> Problem:
    return Problem(f"The stored result of {task_id} is missing or damaged: {said}", {"task_id": str(task_id)})
