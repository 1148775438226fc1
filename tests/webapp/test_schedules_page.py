"""Schedules on their pages: made of a backtest, shown with their results, resting, deleted."""

import pytest

from storage_core import schedules
from storage_core.db import session_scope
from storage_core.models import Backtest, Schedule


@pytest.fixture
def own(completed, users):
    """The id of a finished backtest of tom's."""
    return completed(owner_id=users["tom"]).rpartition("/")[2]


def form(of, **changes):
    return {"of": of, "name": "Nightly", "every": "day", "period": "grow", "window_days": "", **changes}


def made(engine):
    with session_scope(engine) as session:
        return session.query(Schedule).one_or_none()


def test_the_empty_page_says_how_to_begin(trader):
    assert "Nothing is scheduled" in trader.get("/schedules").text


def test_a_schedule_is_made_of_a_backtest_and_lists_its_results(trader, engine, own):
    page = trader.get(f"/schedules/new?of={own}")
    assert page.by_id("name").get("value").startswith("SMA") or page.by_id("name").get("value")
    answer = trader.post("/schedules", form(own, period="move", window_days="30"))
    assert answer.status_code == 303
    schedule = made(engine)
    assert (schedule.name, schedule.every, schedule.window_days) == ("Nightly", "day", 30)
    with session_scope(engine) as session:
        session.query(Backtest).update({"schedule_id": schedule.id})
    shown = trader.get(answer.location)
    assert "the newest 30 days" in shown.text
    assert shown.find("a", href=f"/backtests/{own}")
    assert "Nightly" in trader.get("/schedules").text


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"name": " "}, "name", "empty"),
        ({"name": "a\u202eb"}, "name", "allowed"),
        ({"every": "hour"}, "every", "day or week"),
        ({"period": "move", "window_days": "0"}, "window-days", "1 to"),
        ({"period": "move", "window_days": "x"}, "window-days", "1 to"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(trader, engine, own, wrong, field, words):
    from tests.webapp.page import read

    answer = trader.post("/schedules", form(own, **wrong))
    assert answer.status_code == 422
    assert words in read(answer, trader.app).error_of(field)
    assert made(engine) is None


def test_it_rests_goes_on_and_is_deleted(trader, engine, own):
    address = trader.post("/schedules", form(own)).location
    trader.post(f"{address}/active", {"active": "no"})
    assert not made(engine).active
    assert "rests" in trader.get("/schedules").text
    trader.post(f"{address}/active", {"active": "yes"})
    assert made(engine).active
    assert trader.post(f"{address}/delete").location == "/schedules"
    assert made(engine) is None
    trader.get(address, status=404)


def test_others_neither_see_nor_change_it_and_viewers_make_none(trader, viewer, admin, engine, own):
    address = trader.post("/schedules", form(own)).location
    viewer.get(address, status=404)
    assert viewer.post(f"{address}/delete").status_code == 403
    viewer.get(f"/schedules/new?of={own}", status=403)
    assert viewer.post("/schedules", form(own)).status_code == 403
    admin.get(address)
    trader.get("/schedules/new?of=nonsense", status=404)
    trader.get("/schedules/999", status=404)


def test_why_nothing_ran_is_shown(trader, engine, own):
    address = trader.post("/schedules", form(own)).location
    with session_scope(engine) as session:
        schedules.note_run(session, made(engine).id, error="There are no bars after <noon>.")
    assert "There are no bars after <noon>." in trader.get(address).text
    assert "There are no bars after <noon>." in trader.get("/schedules").text
