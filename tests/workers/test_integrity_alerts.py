"""A result that is not what was stored opens an alert, and being sound again or deleted closes it."""

from uuid import uuid4

import pytest

from storage_core import alerts, result_store
from storage_core.backtest_keeping import delete
from storage_core.chosen import Choice
from storage_core.db import session_scope
from storage_core.verify import verify
from tests.storage_core.examples import METADATA, METRICS, claimed, row, tables
from workers.housekeeping import tidy
from workers.integrity_alerts import alert_changed


@pytest.fixture
def database_url(sqlite_url):
    return sqlite_url


@pytest.fixture
def stored(engine, settings):
    claim = claimed(engine)
    result_store.save(engine, settings, claim, tables(), metrics=METRICS, metadata=METADATA)
    folder = settings.results_dir / row(engine, claim.task_id).parquet_path
    return claim.task_id, folder / "symbol_signals.parquet"


def open_alerts(engine):
    with session_scope(engine) as session:
        return {one.key: one.message for one in alerts.open_alerts(session)}


def look(engine, settings):
    alert_changed(engine, settings, verify(engine, settings, Choice()))
    return open_alerts(engine)


def test_a_file_that_is_gone_and_comes_back(engine, settings, stored):
    task_id, path = stored
    content = path.read_bytes()
    path.unlink()
    tidy(engine, settings)
    (said,) = open_alerts(engine).values()
    assert said.startswith(f"The stored result of {task_id} is missing or damaged: ")
    path.write_bytes(content)
    tidy(engine, settings)
    assert open_alerts(engine) == {}


def test_a_flipped_byte_is_named_until_it_is_right_again(engine, settings, stored):
    task_id, path = stored
    content = path.read_bytes()
    assert look(engine, settings) == {}
    path.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    said = look(engine, settings)[f"contents:{task_id}"]
    assert "symbol_signals.parquet: its sha256 is not the one that was stored" in said
    nothing = Choice(task_ids=(uuid4(),))
    alert_changed(engine, settings, verify(engine, settings, nothing))
    assert len(open_alerts(engine)) == 1, "another part was verified; this one is damaged still"
    path.write_bytes(content)
    alert_changed(engine, settings, verify(engine, settings, nothing))
    assert open_alerts(engine) == {}


def test_a_damaged_result_that_is_deleted_is_no_longer_worth_an_alert(engine, settings, stored):
    task_id, path = stored
    path.write_bytes(b"nonsense")
    assert len(look(engine, settings)) == 1
    with session_scope(engine) as session:
        delete(session, task_id, by="ada")
    assert look(engine, settings) == {}
