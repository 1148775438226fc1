"""Files that are gone open an alert, which is over when they are back; and each round is noted."""

from uuid import uuid4

import pytest

from storage_core import alerts
from storage_core.backtest_keeping import delete
from storage_core.chosen import Choice
from storage_core.db import session_scope, utc_now
from storage_core.models import Job
from storage_core.reconcile import Report
from storage_core.verify import verify
from tests.storage_core.at_once import together
from tests.storage_core.examples import row
from tests.storage_core.sound import saved
from workers.housekeeping import tidy
from workers.integrity_alerts import LAST_ROUND, alert_changed, note_round


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


def test_two_machines_that_end_their_first_round_at_once_note_one(engine, settings):
    began = utc_now()
    together(*[lambda: note_round(engine, settings, Report(), began=began)] * 4)
    assert last_round(engine).started_at == began


@pytest.fixture
def stored(engine, settings):
    task_id = saved(engine, settings)
    return task_id, settings.results_dir / row(engine, task_id).parquet_path / "symbol_signals.parquet"


def read_again(engine, settings, choice=None):
    alert_changed(engine, settings, verify(engine, settings, choice or Choice()))
    return open_alerts(engine)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_flipped_byte_is_named_until_it_is_right_again(engine, settings, stored):
    task_id, path = stored
    content = path.read_bytes()
    assert read_again(engine, settings) == []
    path.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    (said,) = read_again(engine, settings)
    assert str(task_id) in said
    assert said.endswith("symbol_signals.parquet: its sha256 is not the one that was stored")
    another_part = Choice(task_ids=(uuid4(),))
    assert read_again(engine, settings, another_part) == [said], "it was read again, too, and is damaged still"
    path.write_bytes(content)
    assert read_again(engine, settings, another_part) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_damaged_result_that_is_deleted_is_no_longer_worth_an_alert(engine, settings, stored):
    task_id, path = stored
    path.write_bytes(b"nonsense")
    assert len(read_again(engine, settings)) == 1
    with session_scope(engine) as session:
        delete(session, task_id, by="ada")
    assert read_again(engine, settings) == []
