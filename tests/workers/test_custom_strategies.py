"""People's own strategies: loaded by workers, listed for the web, broken ones reported."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.params import ParamSpec
from storage_core import backtests
from storage_core import custom_strategies as listed
from storage_core.bar_store import BarStore
from storage_core.db import session_scope
from tests.storage_core.at_once import together
from tests.workers.examples import row, spec, wave
from workers import run_backtest
from workers.custom_strategies import catalog_of, find, find_settled, stamp
from workers.runtime import Runtime

GOOD = '''"""Buys after rising closes in a row."""
from engine.params import ParamSpec
from engine.signals import long_only
import numpy as np

PARAMS = [ParamSpec(name="run", type="int", default=2, minimum=1, maximum=20, label="Run", help="Rising closes.")]

def signals(bars, params):
    rising = np.diff(bars.close, prepend=bars.close[0]) > 0
    enter = rising.copy()
    for back in range(1, params["run"]):
        enter[back:] &= rising[:-back]
    return long_only(enter, ~rising)
'''


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "strategies"
    folder.mkdir()
    (folder / "rising.py").write_text(GOOD)
    return folder


def test_a_file_is_a_strategy(folder):
    [found] = find(folder)
    assert found.error is None
    assert found.spec.label == "Rising"
    assert found.spec.help == "Buys after rising closes in a row."
    assert [param.name for param in found.spec.params] == ["run"]
    assert "rising" in catalog_of([found])


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("no_signals", "x = 1", "no function signals"),
        ("typo", "def signals(bars, params:\n", "SyntaxError"),
        ("leaves", "import sys; sys.exit(1)", "SystemExit"),
        ("missing_module", "import not_there_at_all", "ModuleNotFoundError"),
        ("bad_params", "PARAMS = [1]\ndef signals(b, p): ...", "list of ParamSpecs"),
        ("sma_cross", "def signals(b, p): ...", "shipped strategy"),
        ("Upper-case", "def signals(b, p): ...", "lower-case"),
    ],
)
def test_a_broken_one_is_reported_and_does_not_stop_the_others(folder, name, code, says):
    (folder / f"{name}.py").write_text(code)
    found = {one.name: one for one in find(folder)}
    assert says in found[name].error
    assert found[name].spec is None
    assert set(catalog_of(list(found.values()))) >= {"rising", "sma_cross"}
    assert catalog_of(list(found.values()))["sma_cross"].signals.startswith("engine.")


def test_files_that_begin_with_an_underscore_are_helpers(folder):
    (folder / "_shared.py").write_text("raise RuntimeError")
    assert [one.name for one in find(folder)] == ["rising"]
    assert find(None) == []


@pytest.fixture
def runtime(settings, folder):
    from dataclasses import replace

    BarStore(settings.bars_dir).merge("USD-BTC", "1h", wave(31 * 24))
    runtime = Runtime(replace(settings, strategies_dir=folder))
    yield runtime
    runtime.close()


def names(runtime):
    with session_scope(runtime.engine) as session:
        return {one.name: (one.sha256[:8], one.error) for one in listed.listed(session)}


def test_the_list_follows_the_folder(runtime, folder):
    runtime.catalog()
    before = names(runtime)
    assert set(before) == {"rising"}
    (folder / "rising.py").write_text(GOOD + "\n# edited\n")
    (folder / "broken.py").write_text("nonsense(")
    runtime.catalog()
    after = names(runtime)
    assert after["rising"][0] != before["rising"][0]
    assert "SyntaxError" in after["broken"][1]
    (folder / "broken.py").unlink()
    runtime.catalog()
    assert set(names(runtime)) == {"rising"}


PARAM = "from engine.params import ParamSpec\nPARAMS = [ParamSpec(name='x',"
HOSTILE = {
    "label": "LABEL = 'a\\0b\\udcff' + 'c' * 500",
    "text": "'''x\\0y'''",
    "raises": "raise ValueError('a\\0b\\ud800c')",
    "never": f"{PARAM} type='float', default=float('nan'), label='x', help='')]",
    "named": f"{PARAM} type='bool', default=True, label='x', help='\\0')]",
    "n" * 150: "",
    "latin\udcff": "",
}


def test_whatever_texts_one_of_them_holds_all_are_listed(runtime, folder):
    for name, code in HOSTILE.items():
        (folder / f"{name}.py").write_text(f"{code}\ndef signals(bars, params): ...\n")
    runtime.catalog()
    with session_scope(runtime.engine) as session:
        found = {one.name: one for one in listed.listed(session)}
    assert set(found) == {*HOSTILE, "rising", "n" * 100, "latin\ufffd"} - {"n" * 150, "latin\udcff"}
    assert found["label"].label == "ab\ufffd" + "c" * 197
    assert found["text"].help == "xy"
    assert found["raises"].error == "ValueError: ab\ufffdc"
    assert "Out of range float" in found["never"].error
    assert found["named"].params["x"]["help"] == ""


def test_the_listed_params_are_param_specs_again(runtime):
    runtime.catalog()
    with session_scope(runtime.engine) as session:
        [one] = listed.listed(session)
    param = ParamSpec(**{**one.params["run"], "choices": tuple(one.params["run"]["choices"])})
    assert (param.name, param.minimum, param.maximum) == ("run", 1, 20)


def test_a_backtest_runs_on_ones_own_strategy_and_on_its_newest_version(runtime, folder):
    with session_scope(runtime.engine) as session:
        own = {**spec(), "strategy": "rising", "params": {"run": 2}}
        first = backtests.create(session, spec=own, owner_id=None, source="web").task_id
        second = backtests.create(session, spec=own, owner_id=None, source="web").task_id
    run_backtest.run(runtime, first)
    (folder / "rising.py").write_text(GOOD.replace("> 0", "< 0"))
    run_backtest.run(runtime, second)
    one, two = row(runtime, first), row(runtime, second)
    assert one.status == two.status == "completed"
    assert one.trade_count > 0
    assert one.final_equity != two.final_equity


def test_a_strategy_that_is_gone_or_raises_fails_with_a_sentence(runtime, folder):
    (folder / "raises.py").write_text("def signals(bars, params):\n    return 1 / 0\n")
    task_ids = []
    with session_scope(runtime.engine) as session:
        for name in ("raises", "gone"):
            own = {**spec(), "strategy": name, "params": {}}
            task_ids.append(backtests.create(session, spec=own, owner_id=None, source="web").task_id)
    for task_id in task_ids:
        run_backtest.run(runtime, task_id)
    raises, gone = (row(runtime, task_id) for task_id in task_ids)
    assert (raises.status, raises.error_code) == ("failed", "strategy_error")
    assert "ZeroDivisionError" in raises.error_message
    assert (gone.status, gone.attempt, gone.error_code) == ("failed", 1, "spec_errors")
    assert "unknown strategy 'gone'" in gone.error_message


def test_what_an_editor_leaves_beside_a_file_and_files_that_vanish_are_passed_over(runtime, folder):
    """Emacs marks a file that is being edited by a link to nowhere; others take the file away and write it anew."""
    (folder / ".#rising.py").symlink_to("kim@host.1234")
    (folder / "vanished.py").symlink_to(folder / "nowhere.py")
    assert set(runtime.catalog()) - set(catalog_of([])) == {"rising"}
    assert [(one.name, one.error) for one in find(folder)] == [("rising", None)]


def test_a_file_that_may_not_be_read_is_reported(folder):
    (folder / "closed.py").mkdir()
    found = {one.name: one.error for one in find(folder)}
    assert found["rising"] is None
    assert "IsADirectoryError" in found["closed"]


def test_a_file_that_is_written_while_the_folder_is_read_is_read_again(folder):
    """`first` sees `second` half written; its import is where the writing goes on."""
    whole = GOOD.replace("'", '"')
    (folder / "first.py").write_text(
        f"import pathlib\npathlib.Path(r'{folder}/second.py').write_text('''{whole}''')\n" + GOOD
    )
    (folder / "half.py").write_text("def signals(bars")
    (folder / "half.py").rename(folder / "second.py")
    found, seen = find_settled(folder)
    assert {one.name: one.error for one in found} == {"first": None, "rising": None, "second": None}
    assert seen == stamp(folder)


def test_a_file_that_is_changed_while_it_is_read_is_not_taken_for_what_it_was(folder):
    """The digest of the code must be that of the code that runs, or `already run` would give the wrong result."""
    edited = GOOD.replace("> 0", "< 0")
    writes = f"import pathlib\npathlib.Path(__file__).write_text({edited!r})\n"
    (folder / "rising.py").write_text(writes + GOOD)
    [first] = find(folder)
    assert "changed while it was read" in first.error
    [second] = find(folder)
    assert second.error is None
    assert second.sha256 != first.sha256


def test_a_result_names_the_code_that_it_was_computed_with(runtime, folder, monkeypatch):
    """Edited during the run, and read again by the thread that follows the folder."""
    with session_scope(runtime.engine) as session:
        own = {**spec(), "strategy": "rising", "params": {"run": 2}}
        task_id = backtests.create(session, spec=own, owner_id=None, source="web").task_id
    before = runtime.strategies().code["rising"]
    computed = run_backtest.compute

    def edited_meanwhile(*args):
        outcome = computed(*args)
        (folder / "rising.py").unlink()
        assert "rising" not in runtime.catalog()
        return outcome

    monkeypatch.setattr(run_backtest, "compute", edited_meanwhile)
    run_backtest.run(runtime, task_id)
    stored = row(runtime, task_id)
    assert (stored.status, stored.attempt) == ("completed", 1)
    assert stored.metadata_["code"]["strategy"] == before


@pytest.fixture
def two_views(folder):
    """Rows of two workers: one has seen the folder before an edit, the other after it."""
    (folder / "broken.py").write_text("nonsense(")
    before = [one.row for one in find(folder)]
    (folder / "broken.py").unlink()
    (folder / "another.py").write_text(GOOD)
    return before, [one.row for one in find(folder)]


def publish(runtime, rows):
    with session_scope(runtime.engine) as session:
        listed.publish(session, [row() for row in rows])


def test_workers_that_publish_at_once_take_turns(runtime, two_views):
    """What is in the list afterwards is what the last of them saw, and nothing that the other saw."""
    before, after = two_views
    with ThreadPoolExecutor(1) as pool:
        with session_scope(runtime.engine) as session:
            listed.publish(session, [row() for row in before])
            second = pool.submit(publish, runtime, after)
            with pytest.raises(TimeoutError):
                second.result(timeout=0.3)
        second.result()
    assert set(names(runtime)) == {"rising", "another"}


def test_workers_that_publish_at_once_neither_break_nor_wait_in_a_circle(runtime, two_views):
    before, after = two_views

    def again(rows):
        for _ in range(10):
            publish(runtime, rows)

    together(lambda: again(before), lambda: again(after), lambda: again(before))
    assert set(names(runtime)) in ({"rising", "broken"}, {"rising", "another"})
