"""What goes in: strict JSON, named fields, filters, sorting, pages."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from storage_core.bar_store import BarStore
from storage_core.db import session_scope
from storage_core.models import Backtest
from tests.webapp import results
from tests.webapp.programs import Program, make_token
from tests.webapp.test_api import SPEC, count
from webapp.api import reading
from webapp.api.requests import ListQuery
from webapp.list_query import FILTERS


@pytest.fixture
def tom(app, engine, users):
    return Program(app, make_token(engine, users["tom"]))


def send(program, text, kind="application/json"):
    data = text if isinstance(text, bytes) else text.encode()
    headers = {**program.headers, "Content-Type": kind}
    return program.client.post("/api/v1/backtests/async", data=data, headers=headers)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("", 400, "expecting value"),
        ("{", 400, "expecting property name"),
        ('{"strategy": ', 400, "line 1, column 14"),
        ('{"a": 1, "a": 2}', 400, "the key 'a' is there twice"),
        ('{"costs": {"fee_rate": 0.1, "fee_rate": 0.2}}', 400, "the key 'fee_rate' is there twice"),
        ('{"initial_cash": NaN}', 400, "NaN is no number"),
        ('{"initial_cash": -Infinity}', 400, "-Infinity is no number"),
        ('{"initial_cash": 1e999}', 400, "too large"),
        ('{"initial_cash": ' + "9" * 5000 + "}", 400, "too large"),
        ('{"initial_cash": 9223372036854775808}', 400, "too large"),
        ('{"a": ' * 30 + "1" + "}" * 30, 400, "deeper than 20"),
        ("[" * 100_000, 400, "deeper than 20"),
        ('{"symbols": [' + "1," * 6000 + "1]}", 400, "more than 5000 values"),
        ('{"strategy": "\\ud800"}', 400, "surrogate"),
        (b'{"strategy": "\xff"}', 400, "not UTF-8"),
        ("[]", 422, "must be a JSON object"),
        ('"{}"', 422, "must be a JSON object"),
        ("3", 422, "must be a JSON object"),
        ("null", 422, "must be a JSON object"),
    ],
)
def test_what_is_not_plain_json_is_refused(tom, bars, engine, body, status, words):
    answer = send(tom, body)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert answer.json["code"] == ("bad_json" if status == 400 else "invalid_request")
    assert words in answer.json["detail"]
    assert count(engine) == 0


def test_other_kinds_and_sizes_are_refused(tom, bars, engine):
    assert send(tom, "strategy=x", "application/x-www-form-urlencoded").status_code == 415
    assert send(tom, "{}", "text/plain").json["code"] == "unsupported_media_type"
    large = send(tom, '{"strategy": "' + "x" * reading.LARGEST + '"}')
    assert (large.status_code, large.json["code"]) == (413, "too_large")
    assert count(engine) == 0


def test_candle_size_is_taken(tom, bars):
    task_id = tom("POST", "/backtests/async", {**SPEC, "candle_size": 100}).json["task_id"]
    assert tom("GET", f"/backtests/{task_id}").json["spec"]["candle_size"] == 100


def test_the_last_day_there_is(tom, bars):
    body = {**SPEC, "start_date": "0001-01-01", "end_date": "9999-12-31"}
    assert tom("POST", "/backtests/async?reuse=true", body).status_code == 202


@pytest.mark.parametrize(
    ("address", "field"),
    [
        ("/backtests?colour=red", "colour"),
        ("/backtests?size=0", "size"),
        ("/backtests?size=1_0", "size"),
        ("/backtests?size=+5", "size"),
        ("/backtests?sort=colour", "sort"),
        ("/backtests?status=done", "status.0"),
        ("/backtests?symbol=btc", "symbol.0"),
        ("/backtests?strategy=%00", "strategy.0"),
        ("/backtests?pinned=yes", "pinned"),
        ("/backtests?submitted_from=2024-01-01", "submitted_from"),
        ("/backtests?submitted_from=1700000000", "submitted_from"),
        ("/backtests?period_from=20240101", "period_from"),
        ("/backtests?period_from=2024-02-30", "period_from"),
        ("/backtests?sharpe_min=nan", "sharpe_min"),
        ("/backtests?sharpe_min=1e400", "sharpe_min"),
        ("/backtests?sharpe_min=1&sharpe_min=2", "sharpe_min"),
        ("/backtests?status=queued&size=5&status=running&size=5", "size"),
        ("/strategies?x=1", "x"),
        ("/data?x=1", "x"),
    ],
)
def test_a_bad_query_names_its_field(tom, bars, address, field):
    answer = tom("GET", address)
    assert (answer.status_code, answer.json["code"]) == (422, "invalid_request")
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert field in answer.json["detail"]


@pytest.mark.parametrize("cursor", ["nonsense", "é", "W10", "a" * 400, "eyJhIjoxfQ"])
def test_a_bad_cursor_is_named(tom, cursor):
    answer = tom("GET", f"/backtests?after={cursor}")
    assert (answer.status_code, answer.json["code"]) == (400, "bad_cursor")


def test_filters_and_order(tom, engine, settings, users):
    one = results.complete(engine, settings, owner_id=users["tom"])
    two = results.queue(engine, owner_id=users["tom"], strategy="rsi_reversion", params={}, symbols=["USD-BTC"])
    three = results.queue(engine, owner_id=users["tom"])
    now = datetime.now(UTC)
    with session_scope(engine) as session:
        for task_id, age in ((one, 3), (two, 2), (three, 1)):
            changed = {"created_at": now - timedelta(days=age)}
            session.execute(update(Backtest).where(Backtest.task_id == task_id).values(changed))
    other = results.queue(engine, owner_id=users["ada"])
    with session_scope(engine) as session:
        session.execute(update(Backtest).where(Backtest.task_id == other).values(shared=True, created_at=now))
    tom("PATCH", f"/backtests/{three}", {"note": "Look again", "tags": ["btc", "a b"], "pinned": True})
    then = (now - timedelta(days=1.5)).isoformat().replace("+", "%2B")
    names = {one: "one", two: "two", three: "three", other: "other"}
    tom_id, ada_id = users["tom"], users["ada"]
    for query, expected in (
        ("", ["three", "two", "one"]),
        ("sort=created_at", ["one", "two", "three"]),
        ("sort=-sharpe", ["one", "three", "two"]),
        ("status=queued&status=running", ["three", "two"]),
        ("strategy=rsi_reversion", ["two"]),
        ("symbol=USD-BTC&symbol=USD-ETH", ["two"]),
        ("tag=btc&tag=a%20b", ["three"]),
        ("tag=btc&tag=nothing", []),
        ("text=look", ["three"]),
        ("pinned=true", ["three"]),
        ("pinned=false", ["two", "one"]),
        (f"submitted_from={then}", ["three"]),
        (f"submitted_to={then}", ["two", "one"]),
        ("submitted_from=0001-01-01T00:00:00%2B14:00", ["three", "two", "one"]),
        ("submitted_from=9999-12-31T23:59:59-14:00", []),
        ("period_from=2024-01-01&period_to=2024-01-21", ["three", "two", "one"]),
        ("period_to=2024-01-20", []),
        ("sharpe_min=1.5&sharpe_max=1.6", ["one"]),
        ("sharpe_min=1.6", []),
        ("source=api", []),
        ("timeframe=1h&timeframe=1d", ["three", "two", "one"]),
        ("deleted=true", []),
        ("shared=true", ["other"]),
        (f"owner_id={ada_id}", ["other"]),
        (f"owner_id={tom_id}", ["three", "two", "one"]),
        ("owner_id=999", []),
    ):
        everybodys = "" if "shared" in query or "owner_id" in query else "&shared=false"
        answer = tom("GET", f"/backtests?{query}{everybodys}")
        assert answer.status_code == 200, answer.json
        assert [names[type(one)(row["task_id"])] for row in answer.json["backtests"]] == expected, query


def test_the_list_takes_every_filter_of_the_page():
    of_the_page_alone = {"submitted", "owner"}  # "in the last 7 days", and a name; here instants, and its number
    assert set(FILTERS) - of_the_page_alone <= set(ListQuery.model_fields)


def test_link_headers_lead_through_all_pages_and_back(tom, engine, users):
    ids = [str(results.queue(engine, owner_id=users["tom"])) for _ in range(5)][::-1]
    address, seen, pages = "/backtests?size=2&symbol=KRW-BTC&symbol=KRW-ETH", [], []
    while address:
        answer = tom("GET", address)
        pages.append([row["task_id"] for row in answer.json["backtests"]])
        seen += pages[-1]
        links = {name: to for to, name in re.findall(r'<([^>]+)>; rel="(\w+)"', answer.headers.get("Link", ""))}
        address = links.get("next")
    assert seen == ids
    assert "symbol=KRW-BTC&symbol=KRW-ETH" in links["prev"]
    back = tom("GET", links["prev"])
    assert [row["task_id"] for row in back.json["backtests"]] == pages[-2]
    assert tom("GET", f"{links['prev']}&sort=created_at").json["code"] == "bad_cursor"


def test_notes_tags_and_pins(tom, engine, settings, users):
    task_id = results.complete(engine, settings, owner_id=users["tom"])
    address = f"/backtests/{task_id}"
    assert tom("PATCH", address, {}).json["note"] == ""
    changed = tom("PATCH", address, {"note": "  good ", "tags": ["b", "a", "a"], "pinned": True}).json
    assert (changed["note"], changed["tags"], changed["pinned"]) == ("good", ["a", "b"], True)
    assert tom("PATCH", address, {"tags": []}).json["note"] == "good"
    for body, field in (
        ({"note": None}, "note"),
        ({"note": 3}, "note"),
        ({"note": "x" * 10_001}, "note"),
        ({"pinned": "yes"}, "pinned"),
        ({"pinned": 1}, "pinned"),
        ({"tags": "a"}, "tags"),
        ({"tags": [""]}, "tags.0"),
        ({"tags": [" "]}, "tags"),
        ({"tags": [f"{n}" for n in range(21)]}, "tags"),
        ({"toggles": {}}, "toggles"),
    ):
        answer = tom("PATCH", address, body)
        assert (answer.status_code, answer.json["code"]) == (422, "invalid_request"), body
        assert [error["field"] for error in answer.json["errors"]] == [field], body
    refused = tom("DELETE", address)
    assert (refused.status_code, refused.json["code"]) == (409, "not_deletable")
    assert "is pinned" in refused.json["detail"]


def test_symbols_are_switched_off_and_on(tom, engine, settings, users):
    store = BarStore(settings.bars_dir)
    for seed, symbol in enumerate(("KRW-BTC", "KRW-ETH")):
        store.merge(symbol, "1h", results.bars(500, seed=seed))
    both = {"owner_id": users["tom"], "symbols": ["KRW-BTC", "KRW-ETH"], "params": {"fast": 5, "slow": 20}}
    address = f"/backtests/{results.computed(engine, settings, **both)}"
    alone = f"/backtests/{results.computed(engine, settings, **{**both, 'symbols': ['KRW-ETH']})}"
    before = tom("GET", address).json
    changed = tom("PATCH", address, {"symbols": {"KRW-BTC": False}}).json
    active = changed["metadata"].pop("active_symbols")
    assert active["symbols"] == ["KRW-ETH"]
    expected = tom("GET", alone).json["metadata"]["metrics"]
    assert active["metrics"]["sharpe"] == pytest.approx(expected["sharpe"], rel=1e-9)
    assert active["metrics"]["trade_count"] == expected["trade_count"]
    assert changed["metadata"] == before["metadata"]
    assert changed["sharpe"] == before["sharpe"]
    equity = tom("GET", f"{address}/equity?size=1").json["equity"]
    assert equity == tom("GET", f"{alone}/equity?size=1").json["equity"]
    assert "active_symbols" not in tom("PATCH", address, {"symbols": {"KRW-BTC": True}}).json["metadata"]
    for body, field in (
        ({"symbols": {"KRW-BTC": False, "KRW-ETH": False}}, "symbols"),
        ({"symbols": {"KRW-XRP": False}}, "symbols"),
        ({"symbols": {"KRW-BTC": "no"}}, "symbols.KRW-BTC"),
        ({"symbols": ["KRW-BTC"]}, "symbols"),
    ):
        answer = tom("PATCH", address, body)
        assert (answer.status_code, answer.json["code"]) == (422, "invalid_request"), body
        assert [error["field"] for error in answer.json["errors"]] == [field], body
    assert tom("PATCH", alone, {"symbols": {"KRW-ETH": True}}).status_code == 422
    waiting = results.queue(engine, owner_id=users["tom"])
    assert tom("PATCH", f"/backtests/{waiting}", {"symbols": {"KRW-BTC": False}}).json["code"] == "not_completed"


def test_a_shared_backtest_is_read_by_others_and_changed_by_its_owner(tom, engine, settings, users):
    address = f"/backtests/{results.complete(engine, settings, owner_id=users['ada'])}"
    assert tom("GET", address).status_code == 404
    with session_scope(engine) as session:
        session.get(Backtest, UUID(address[-36:])).shared = True
    assert tom("GET", address).json["shared"] is True
    assert tom("GET", f"{address}/trades").status_code == 200
    assert tom("PATCH", address, {"note": "mine?"}).status_code == 403
    assert tom("DELETE", address).status_code == 403
    mine = f"/backtests/{results.complete(engine, settings, owner_id=users['tom'])}"
    for shared in (True, False):
        assert tom("PATCH", mine, {"shared": shared}).json["shared"] is shared
    running = results.queue(engine, owner_id=users["ada"])
    with session_scope(engine) as session:
        session.get(Backtest, running).shared = True
    assert tom("POST", f"/backtests/{running}/cancel").status_code == 403


def test_delete_and_restore(tom, engine, settings, users):
    task_id = results.complete(engine, settings, owner_id=users["tom"])
    gone = tom("DELETE", f"/backtests/{task_id}").json
    assert gone["restore_url"] == f"/api/v1/backtests/{task_id}/restore"
    assert tom("GET", f"/backtests/{task_id}").status_code == 404
    assert tom("GET", f"/backtests/{task_id}/trades").status_code == 404
    assert [row["task_id"] for row in tom("GET", "/backtests?deleted=true").json["backtests"]] == [str(task_id)]
    assert tom("POST", gone["restore_url"]).json["deleted_at"] is None
    assert tom("POST", gone["restore_url"]).status_code == 200
    assert tom("GET", f"/backtests/{task_id}").status_code == 200
    tom("DELETE", f"/backtests/{task_id}")
    with session_scope(engine) as session:
        session.execute(update(Backtest).values(deleted_at=datetime.now(UTC) - timedelta(days=8)))
    late = tom("POST", gone["restore_url"])
    assert (late.status_code, late.json["code"]) == (409, "not_restorable")
    assert tom("POST", f"/backtests/{uuid4()}/restore").status_code == 404


def test_verify_queues_the_same_spec(tom, engine, settings, users):
    task_id = results.complete(engine, settings, owner_id=users["tom"])
    answer = tom("POST", f"/backtests/{task_id}/verify")
    assert (answer.status_code, answer.json["status"]) == (202, "queued")
    made = tom("GET", answer.json["result_url"]).json
    assert (made["source"], made["metadata"]["verification"]) == ("verify", {"of": str(task_id)})
    refused = tom("POST", f"/backtests/{made['task_id']}/verify")
    assert (refused.status_code, refused.json["code"]) == (409, "not_verifiable")


def test_strategies_come_with_a_schema(tom):
    (sma,) = [one for one in tom("GET", "/strategies").json["strategies"] if one["name"] == "sma_cross"]
    assert not sma["own"]
    fast = sma["params_schema"]["properties"]["fast"]
    assert (fast["type"], fast["minimum"]) == ("integer", 1)
    assert sma["params_schema"]["additionalProperties"] is False
