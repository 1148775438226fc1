"""Run again and verify: identical to the last bit, or the first place that is not, and why."""

import pyarrow as pa
import pytest

from storage_core import backtests
from storage_core.bar_store import BarStore
from storage_core.db import session_scope
from storage_core.errors import NotVerifiable
from storage_core.verification import create_verification
from tests.workers.examples import queue, row, wave
from workers import run_backtest
from workers.cells import first_differing_cell
from workers.runtime import Runtime


@pytest.fixture
def runtime(settings):
    BarStore(settings.bars_dir).merge("USD-BTC", "1h", wave(31 * 24))
    runtime = Runtime(settings)
    yield runtime
    runtime.close()


@pytest.fixture
def done(runtime):
    task_id = queue(runtime)
    run_backtest.run(runtime, task_id)
    return task_id


def verify(runtime, task_id):
    with session_scope(runtime.engine) as session:
        again = create_verification(session, task_id, owner_id=None, by="kim").task_id
    run_backtest.run(runtime, again)
    assert row(runtime, again).status == "completed"
    assert row(runtime, again).source == "verify"
    return row(runtime, again).metadata_["verification"]


def test_the_same_again_is_identical(runtime, done):
    assert verify(runtime, done) == {"of": str(done), "outcome": "identical", "changed": {}}


def test_other_data_is_found_at_its_first_bar_and_named(runtime, done):
    bars = wave(31 * 24)
    bars["close"][500:] += 0.25
    bars["high"][500:] += 0.5
    BarStore(runtime.settings.bars_dir).merge("USD-BTC", "1h", bars, wins="new")
    found = verify(runtime, done)
    assert found["outcome"] == "different"
    assert list(found["changed"]) == ["data"]
    assert list(found["changed"]["data"]) == ["USD-BTC"]
    first = found["first_difference"]
    assert (first["what"], first["symbol"], first["column"]) == ("bar", "USD-BTC", "equity")
    assert first["index"] >= 500
    assert first["was"] != first["now"]


def test_other_code_and_libraries_are_named(runtime, done):
    with session_scope(runtime.engine) as session:
        original = backtests.get(session, done)
        code = {"strategy": "0" * 64, "engine": original.metadata_["code"]["engine"]}
        versions = {**original.metadata_["versions"], "numpy": "1.0"}
        original.metadata_ = {**original.metadata_, "code": code, "versions": versions}
    found = verify(runtime, done)
    assert found["outcome"] == "identical"
    assert list(found["changed"]) == ["strategy", "libraries"]
    assert found["changed"]["libraries"]["numpy"][0] == "1.0"


def test_a_result_that_is_gone_is_said(runtime, done):
    for path in runtime.settings.results_dir.rglob("performance_curve.parquet"):
        path.unlink()
    found = verify(runtime, done)
    assert found["outcome"] == "unreadable"
    assert "performance_curve" in found["reason"]


def test_only_what_was_completed_can_be_verified(runtime):
    with session_scope(runtime.engine) as session, pytest.raises(NotVerifiable, match="is queued"):
        create_verification(session, queue(runtime), owner_id=None, by="kim")


@pytest.mark.parametrize(
    ("before", "now", "cell"),
    [
        ([1.0, 2.0], [1.0, 2.0], None),
        ([float("nan")], [float("nan")], None),
        ([0.0], [-0.0], (0, "a")),
        ([1.0, None], [1.0, None], None),
        ([1.0, None], [1.0, 0.0], (1, "a")),
        ([1.0, 2.0], [1.0], (1, "a")),
        ([1.0, 2.0, 3.0], [1.0, 2.0000000000000004, 4.0], (1, "a")),
    ],
)
def test_every_bit_counts(before, now, cell):
    tables = [pa.table({"a": pa.array(column, pa.float64())}) for column in (before, now)]
    assert first_differing_cell(*tables) == cell


def test_the_first_row_counts_before_the_first_column():
    before = pa.table({"a": [1.0, 2.0], "b": ["x", "y"]})
    now = pa.table({"a": [1.0, 3.0], "b": ["z", "y"]})
    assert first_differing_cell(before, now) == (0, "b")
