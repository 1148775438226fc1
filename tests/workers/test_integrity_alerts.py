"""Files that are gone open an alert, which is over when they are back; and each round is noted."""

from storage_core import alerts
from storage_core.db import session_scope
from storage_core.models import Job
from tests.storage_core.examples import row
from tests.storage_core.sound import saved
from workers.housekeeping import tidy
from workers.integrity_alerts import LAST_ROUND


def open_alerts(engine):
    with session_scope(engine) as session:
        return [one.message for one in alerts.open_alerts(session)]


def last_round(engine):
    with session_scope(engine) as session:
        return session.get_one(Job, LAST_ROUND)


def test_a_file_that_is_gone_and_comes_back(engine, settings):
    task_id = saved(engine, settings)
    path = settings.results_dir / row(engine, task_id).parquet_path / "symbol_signals.parquet"
    content = path.read_bytes()
    path.unlink()
    tidy(engine, settings)
    (said,) = open_alerts(engine)
    assert said.startswith(f"The stored result of {task_id} is missing or damaged: ")
    first = last_round(engine)
    assert (first.status, first.outcome["damaged"]) == ("completed", 1)
    path.write_bytes(content)
    tidy(engine, settings)
    assert open_alerts(engine) == []
    assert last_round(engine).outcome["damaged"] == 0
    assert last_round(engine).finished_at > first.finished_at
