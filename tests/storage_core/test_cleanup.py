"""Cleaning up: the dry run says what the run does, and what must stay stays."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from storage_core import backtest_keeping, backtests
from storage_core.backtest_filters import Filters
from storage_core.chosen import Choice
from storage_core.cleanup import Item, Report, Rules, clean_up, take_back
from storage_core.db import session_scope, utc_now
from storage_core.errors import BadFilter
from storage_core.models import Backtest
from storage_core.settings import Settings
from storage_core.stats import storage_stats
from tests.storage_core.examples import claimed, kinds, queued
from tests.storage_core.sound import saved, sound_tables

NOW = utc_now()


def put(engine: Engine, settings: Settings, days: float, **changes: Any) -> uuid.UUID:
    """A result submitted so many days ago; `changes` of its row."""
    strategy = changes.pop("strategy", "sma_cross")
    task_id = saved(engine, settings, sound_tables(trades=2, bars=3), strategy=strategy)
    return change(engine, task_id, created_at=NOW - timedelta(days=days), **changes)


def change(engine: Engine, task_id: uuid.UUID, **values: Any) -> uuid.UUID:
    with session_scope(engine) as session:
        session.execute(update(Backtest).where(Backtest.task_id == task_id).values(values))
    return task_id


def left(engine: Engine) -> set[uuid.UUID]:
    with session_scope(engine) as session:
        return set(session.scalars(select(Backtest.task_id).where(Backtest.deleted_at.is_(None))))


def cleaned(
    engine: Engine, settings: Settings, rules: Rules, *, now: datetime = NOW, dry_run: bool = False
) -> tuple[Report, list[Item]]:
    items: list[Item] = []
    report = clean_up(engine, settings, rules, by="kim", now=now, dry_run=dry_run, on_item=items.append)
    assert [item.task_id for item in items] == report.deleted
    return report, items


def both(engine: Engine, settings: Settings, rules: Rules, *, now: datetime = NOW) -> Report:
    """A dry run, which changes nothing, and then the run, which does just that."""
    before = left(engine)
    would, items_of_dry_run = cleaned(engine, settings, rules, now=now, dry_run=True)
    assert left(engine) == before
    report, items = cleaned(engine, settings, rules, now=now)
    assert items == items_of_dry_run
    assert {**would.as_dict(), "dry_run": False} == report.as_dict()
    assert left(engine) == before - set(report.deleted) - set(report.purged)
    return report


def test_what_is_old_goes_and_what_must_stays(engine: Engine, settings: Settings) -> None:
    old = {put(engine, settings, 31), put(engine, settings, 400, strategy="macd_cross")}
    failed = change(engine, queued(engine), status="failed", created_at=NOW - timedelta(days=90))
    cancelled = change(engine, queued(engine), status="cancelled", created_at=NOW - timedelta(days=90))
    stays = {
        put(engine, settings, 29.9),
        put(engine, settings, 400, pinned=True),
        change(engine, queued(engine), created_at=NOW - timedelta(days=90)),
        change(engine, claimed(engine).task_id, created_at=NOW - timedelta(days=90)),
    }
    report = both(engine, settings, Rules(days=30))
    assert set(report.deleted) == old | {failed, cancelled}
    assert (left(engine), report.kept_pinned, report.purged) == (stays, 1, [])
    assert report.bytes > 0
    assert all(kinds(engine, task_id)[-1] == "deleted" for task_id in report.deleted)
    assert both(engine, settings, Rules(days=30)).deleted == []


def test_a_week_later_they_are_gone(engine: Engine, settings: Settings) -> None:
    old, back = put(engine, settings, 31), put(engine, settings, 32)
    both(engine, settings, Rules(days=30))
    assert take_back(engine, Choice(task_ids=(back,)), by="kim", now=NOW) == ([back], [])
    assert kinds(engine, back)[-1] == "restored"
    pin = change(engine, back, pinned=True)
    later = NOW + timedelta(days=7, minutes=1)
    assert take_back(engine, Choice(), by="kim", now=later) == ([], [old])
    assert take_back(engine, Choice(), by="kim", now=later, dry_run=True) == ([], [old])
    report = both(engine, settings, Rules(days=30), now=later)
    assert (report.purged, left(engine)) == ([old], {pin})
    assert [path.name for path in (settings.results_dir / "backtests").iterdir()] == [f"{pin}"]


def test_taking_back_all_that_match(engine: Engine, settings: Settings) -> None:
    one, other = put(engine, settings, 40), put(engine, settings, 40, strategy="macd_cross")
    both(engine, settings, Rules(days=30))
    chosen = Choice(filters=Filters(strategies=["macd_cross"]))
    assert take_back(engine, chosen, by="kim", now=NOW, dry_run=True) == ([other], [])
    assert left(engine) == set()
    assert take_back(engine, chosen, by="kim", now=NOW) == ([other], [])
    assert left(engine) == {other}
    assert one != other


def test_the_best_of_each_strategy_stay(engine: Engine, settings: Settings) -> None:
    made = {
        (name, sharpe): put(engine, settings, 50, strategy=name, sharpe=sharpe, max_drawdown_pct=10 - sharpe)
        for name in ("sma_cross", "macd_cross")
        for sharpe in (0.5, 2.5, 1.5)
    }
    young = put(engine, settings, 1, sharpe=9.0, max_drawdown_pct=1.0)
    report = both(engine, settings, Rules(days=30, keep_top=2))
    assert report.kept_top == 3, "the young one is one of the two best of its strategy"
    best = {made["sma_cross", 2.5], made["macd_cross", 2.5], made["macd_cross", 1.5], young}
    assert left(engine) == best
    report = both(engine, settings, Rules(days=30, keep_top=1, best="max_drawdown_pct"))
    assert left(engine) == {young, made["macd_cross", 2.5]}


def test_only_what_passes_the_filters(engine: Engine, settings: Settings) -> None:
    here, other = put(engine, settings, 50), put(engine, settings, 50, strategy="macd_cross")
    noted = put(engine, settings, 50, note="100% wrong")
    failed = change(engine, queued(engine), status="failed", created_at=NOW - timedelta(days=90))
    assert both(engine, settings, Rules(days=30, filters=Filters(text="0% w"))).deleted == [noted]
    assert both(engine, settings, Rules(days=30, filters=Filters(statuses=["failed"]))).deleted == [failed]
    assert both(engine, settings, Rules(days=30, filters=Filters(strategies=["macd_cross"]))).deleted == [other]
    early = Filters(submitted_to=NOW - timedelta(days=60))
    assert both(engine, settings, Rules(days=0, filters=early)).deleted == []
    assert left(engine) == {here}


def test_pinned_between_the_look_and_the_mark(engine: Engine, settings: Settings, monkeypatch: Any) -> None:
    task_id = put(engine, settings, 50)
    delete = backtest_keeping.delete

    def late(session: Any, which: uuid.UUID, **more: Any) -> None:
        backtests.get(session, which).pinned = True
        session.flush()
        delete(session, which, **more)

    monkeypatch.setattr(backtest_keeping, "delete", late)
    report, _ = cleaned(engine, settings, Rules(days=30))
    assert (report.deleted, report.kept_pinned, left(engine)) == ([], 1, {task_id})


@pytest.mark.parametrize(
    "rules", [Rules(days=-1), Rules(days=1e9), Rules(days=1, filters=Filters(statuses=["running"]))]
)
def test_rules_that_cannot_be(engine: Engine, settings: Settings, rules: Rules) -> None:
    with pytest.raises(BadFilter):
        clean_up(engine, settings, rules, by="kim")


def test_figures_of_what_is_stored(engine: Engine, settings: Settings) -> None:
    empty = storage_stats(engine)
    assert (empty.total.backtests, empty.total.bytes, empty.by_age, empty.largest) == (0, 0, [], [])
    big = saved(engine, settings, sound_tables(trades=40, bars=900))
    small = [put(engine, settings, days) for days in (2, 200, 5000)]
    put(engine, settings, 3, strategy="macd_cross")
    change(engine, queued(engine), status="failed", created_at=NOW - timedelta(days=2))
    with session_scope(engine) as session:
        backtest_keeping.delete(session, put(engine, settings, 1), by="kim")
    stats = storage_stats(engine, now=utc_now(), largest=2)
    sizes = sum(path.stat().st_size for path in settings.results_dir.rglob("*.parquet"))
    assert stats.total.bytes + stats.deleted.bytes == sizes
    assert (stats.total.backtests, stats.total.trades, stats.deleted.backtests) == (6, 40 + 4 * 2, 1)
    assert {share.name: share.backtests for share in stats.by_strategy} == {"sma_cross": 5, "macd_cross": 1}
    assert {share.name: share.backtests for share in stats.by_status} == {"completed": 5, "failed": 1}
    ages = [(share.name, share.backtests) for share in stats.by_age]
    assert ages == [("1 day", 1), ("7 days", 3), ("365 days", 1), ("older", 1)]
    assert stats.largest[0].task_id == big
    assert len(stats.largest) == 2
    assert stats.largest[1].bytes == stats.by_strategy[1].bytes
    assert storage_stats(engine, Filters(strategies=["macd_cross"])).total.backtests == 1
    assert stats.as_dict()["total"]["bytes"] == stats.total.bytes
    assert len(small) == 3
