"""Alerts: one row for one condition, who has been told of it, and addresses without their secrets."""

import threading
from datetime import timedelta

import pytest

from storage_core import alerts
from storage_core.alert_channels import alert_urls, channels, masked, without_secrets
from storage_core.alert_telling import drop_removed, note_refused, note_taken, owed, rests
from storage_core.alerts import Problem
from storage_core.db import session_scope, utc_now
from storage_core.errors import SettingsError
from storage_core.settings import Settings

NOW = utc_now()
FULL = Problem("The disk is full", {"free_bytes": 7})


def raised(engine, key="disk:/", kind="disk", problem=FULL, now=NOW):
    with session_scope(engine) as session:
        return alerts.raise_(session, key, kind=kind, problem=problem, now=now)


def keys(engine):
    with session_scope(engine) as session:
        return [one.key for one in alerts.open_alerts(session)]


@pytest.fixture
def pair():
    return channels(["json://one.example/hook", "json://two.example/hook"])


def test_a_condition_found_again_is_the_same_alert(engine):
    assert raised(engine) is True
    assert raised(engine, problem=Problem("Fuller", {"free_bytes": 3}), now=NOW + timedelta(minutes=1)) is False
    with session_scope(engine) as session:
        (one,) = alerts.open_alerts(session)
        assert (one.count, one.message, one.detail) == (2, "Fuller", {"free_bytes": 3})
        assert (one.first_at, one.last_at) == (NOW, NOW + timedelta(minutes=1))
        assert alerts.count_open(session) == {"disk": 1}


def test_what_comes_back_after_it_was_over_is_a_new_alert(engine):
    raised(engine)
    with session_scope(engine) as session:
        assert alerts.resolve(session, "disk:/", now=NOW) is True
        assert alerts.resolve(session, "disk:/", now=NOW) is False
    assert raised(engine) is True
    with session_scope(engine) as session:
        assert [one.count for one in alerts.past_alerts(session)] == [1]
    assert keys(engine) == ["disk:/"]


def test_two_clocks_that_find_it_at_once_make_one_row(engine):
    gate = threading.Barrier(4)

    def find():
        gate.wait()
        raised(engine)

    threads = [threading.Thread(target=find) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with session_scope(engine) as session:
        (one,) = alerts.open_alerts(session)
        assert one.count == 4


def test_settle_opens_what_is_found_and_closes_what_is_not(engine):
    raised(engine, key="backtest:9", kind="backtest")
    with session_scope(engine) as session:
        alerts.settle(session, "disk", {"disk:a": FULL, "disk:b": FULL, "far:c": FULL})
        alerts.settle(session, "disk", {"disk:b": FULL}, prefix="disk:")
    assert set(keys(engine)) == {"backtest:9", "disk:b", "far:c"}
    with session_scope(engine) as session:
        alerts.settle(session, "disk", {}, still={"disk:b"})
    assert set(keys(engine)) == {"backtest:9", "disk:b"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_unknown_kind_is_a_mistake_of_ours(engine):
    with pytest.raises(ValueError, match="allowed: backtest, queue"):
        raised(engine, kind="weather")


def test_a_flood_is_told_as_a_number():
    found = {f"result:{n:03d}": FULL for n in range(80)}
    told = alerts.few(found, more="result:more", what="results that are damaged")
    assert len(told) == 51
    assert told["result:more"].message == "30 more results that are damaged"
    assert alerts.few({"a": FULL}, more="more", what="") == {"a": FULL}


def test_what_was_over_long_ago_is_forgotten(engine):
    raised(engine, key="old", now=NOW - timedelta(days=500))
    raised(engine, key="still open", now=NOW - timedelta(days=500))
    with session_scope(engine) as session:
        alerts.resolve(session, "old", now=NOW - timedelta(days=401))
        alerts.forget(session, now=NOW)
        assert alerts.past_alerts(session) == []
    assert keys(engine) == ["still open"]


def test_each_channel_is_owed_the_alert_and_then_its_end(engine, pair):
    one, two = pair
    raised(engine)
    with session_scope(engine) as session:
        messages = owed(session, one, now=NOW)
        assert [(message.state, message.message) for message in messages] == [("open", "The disk is full")]
        note_taken(session, one, messages, now=NOW)
        assert owed(session, one, now=NOW) == []
        assert len(owed(session, two, now=NOW)) == 1
    with session_scope(engine) as session:
        alerts.resolve(session, "disk:/", now=NOW)
        assert [message.state for message in owed(session, one, now=NOW)] == ["resolved"]
        assert owed(session, two, now=NOW) == [], "it never heard of it"
        note_taken(session, one, owed(session, one, now=NOW), now=NOW)
        assert owed(session, one, now=NOW) == []
        (past,) = alerts.past_alerts(session)
        assert (past.told_at, past.told_resolved_at, past.send_error) == (NOW, NOW, None)


def test_an_end_is_not_told_a_day_later(engine, pair):
    raised(engine)
    with session_scope(engine) as session:
        note_taken(session, pair[0], owed(session, pair[0], now=NOW), now=NOW)
        alerts.resolve(session, "disk:/", now=NOW)
        assert owed(session, pair[0], now=NOW + timedelta(days=2)) == []


def test_a_channel_that_fails_is_told_through_the_other_and_rests(engine, pair):
    one, two = pair
    raised(engine)
    with session_scope(engine) as session:
        note_refused(session, one, owed(session, one, now=NOW), why="it is away", now=NOW)
    with session_scope(engine) as session:
        assert rests(session, one, now=NOW + timedelta(seconds=14))
        assert not rests(session, one, now=NOW + timedelta(seconds=15))
        assert not rests(session, two, now=NOW)
        assert {message.kind for message in owed(session, two, now=NOW)} == {"disk", "channel"}
        assert {message.kind for message in owed(session, one, now=NOW)} == {"disk"}, "not of its own failure"
        (disk,) = alerts.open_alerts(session, kind="disk")
        assert (disk.told_at, disk.send_error) == (None, "json://one.example/…: it is away")
        for _ in range(20):
            note_refused(session, one, [], why="it is away", now=NOW)
    with session_scope(engine) as session:
        assert rests(session, one, now=NOW + timedelta(minutes=29))
        assert not rests(session, one, now=NOW + timedelta(minutes=30)), "never longer than half an hour"
        note_taken(session, one, owed(session, one, now=NOW), now=NOW)
        assert not rests(session, one, now=NOW)
    assert keys(engine) == ["disk:/"]


def test_the_failure_of_a_channel_that_is_no_longer_set_is_over(engine, pair):
    with session_scope(engine) as session:
        note_refused(session, pair[0], [], why="it is away", now=NOW)
        drop_removed(session, pair, now=NOW)
        assert len(alerts.open_alerts(session)) == 1
        drop_removed(session, pair[1:], now=NOW)
        assert alerts.open_alerts(session) == []


ADDRESSES = [
    ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#alerts", "slack://…"),
    ("mailtos://ops:hunter2secret@mail.example:587?to=a@x.example,b@x.example", "mailtos://…@mail.example:587/…"),
    ("json://lab.example:8080/hook/abc", "json://lab.example:8080/…"),
    ("discord://123456789/abcdefghij", "discord://…"),
    ("json://lab.example:notaport/", "json://…"),
]


@pytest.mark.parametrize(("url", "shown"), ADDRESSES)
def test_addresses_are_shown_without_their_secrets(url, shown):
    assert masked(url) == shown
    assert url not in repr(channels([url]))


def test_errors_are_shown_without_the_secrets_of_the_address():
    url = "mailtos://ops:hunter2secret@mail.example:587?to=a@x.example"
    said = without_secrets("login as ops with hunter2secret at mail.example failed", url)
    assert said == "login as ops with … at mail.example failed"


def test_addresses_are_apart_by_spaces_lines_or_commas():
    urls = [url for url, _ in ADDRESSES]
    for gap in (" ", "\n", ",", ", ", " ,\n"):
        assert alert_urls(gap.join(urls)) == tuple(urls)
    assert alert_urls("  ") == ()
    assert alert_urls("json://a json://a") == ("json://a",)


def test_a_wrong_address_is_named_by_its_number_and_not_shown(tmp_path):
    with pytest.raises(SettingsError, match=r"ALERT_URLS.*number 1") as caught:
        Settings.from_env({"DATA_DIR": str(tmp_path), "ALERT_URLS": "json://lab.example sl\x07ck://secrettoken"})
    assert "secrettoken" not in str(caught.value)
    assert Settings.from_env({"DATA_DIR": str(tmp_path), "ALERT_URLS": "json://a/b"}).alert_urls == ("json://a/b",)
    secret = tmp_path / "urls"
    secret.write_text("json://a/b\nslack://x/y/z\n")
    found = Settings.from_env({"DATA_DIR": str(tmp_path), "ALERT_URLS_FILE": str(secret)})
    assert found.alert_urls == ("json://a/b", "slack://x/y/z")
    assert "slack" not in repr(found)
