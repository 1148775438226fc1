"""The form: what it offers, what it refuses, what it sends."""

from html import escape
from typing import Any

import pytest
from sqlalchemy import func, select

from engine.catalog import STRATEGIES
from engine.spec import SPEC_FIELDS, parse_spec, spec_to_dict
from storage_core.db import session_scope
from storage_core.fair_queue import in_line
from storage_core.models import Backtest
from tests.services import running_valkey
from tests.webapp import results
from tests.webapp.page import Page
from webapp.forms import default_values, raw_spec, values_from_spec
from workers.queue import QUEUE_BACKTESTS, make_broker

FORM: dict[str, Any] = {
    "strategy": "sma_cross",
    "fields_of": "sma_cross",
    "params.fast": "24",
    "params.slow": "96",
    "symbols": ["KRW-BTC"],
    "timeframe": "1h",
    "start_date": "2024-01-01",
    "end_date": "2024-01-20",
}


def count(engine) -> int:
    with session_scope(engine) as session:
        return session.scalar(select(func.count()).select_from(Backtest))


def test_the_form_offers_what_there_is(admin, bars):
    page = admin.get("/backtests/new")
    assert {option.get("value") for option in page.by_id("strategy")} >= set(STRATEGIES)
    assert page.by_id("params-fast").get("value") == "10"
    box = page.find("input", type="checkbox", name="symbols")
    assert [(one.get("value"), "checked" in one.attrib) for one in box] == [("KRW-BTC", True)]
    assert "1 Jan 2024 – 22 Jan 2024" in page.text
    assert page.by_id("start-date").get("value") == "2024-01-01"
    assert page.by_id("end-date").get("value") == "2024-01-22", (
        "bars of the last UTC day reach into the next one in Seoul"
    )
    assert page.by_id("costs-fee-rate").get("value") == "0.1"
    assert "About 500 bars of 1 symbol." in page.text


def test_every_strategy_has_its_fields(admin):
    for name, strategy in STRATEGIES.items():
        page = admin.get(f"/strategies/{name}/fields", htmx=True)
        assert {f"params.{param.name}" for param in strategy.params} <= {
            element.get("name") for element in page.find("input")
        }
        assert strategy.help in page.text
        assert admin.get(f"/strategies/fields?strategy={name}", htmx=True).html == page.html
    admin.get("/strategies/nonsense/fields", status=404)
    admin.get("/strategies/fields", status=404)


def test_without_bars_the_form_says_what_to_do(admin):
    page = admin.get("/backtests/new")
    assert [link.text for link in page.by_id("market").iter("a") if link.get("href") == "/data"] == [
        "Fetch bars, or send a file"
    ]


def test_another_timeframe_brings_its_symbols_and_dates(admin, bars):
    asked = {**FORM, "timeframe": "1d", "suggested_start": "2024-01-01", "suggested_end": "2024-01-20"}
    page = admin.get("/backtests/new/market", query_string=asked, htmx=True)
    assert [one.get("value") for one in page.find("input", name="symbols")] == ["KRW-ETH"]
    assert page.by_id("start-date").get("value") == "2024-01-01"
    assert page.by_id("end-date").get("value") == "2024-02-09"
    assert page.by_id("estimate").get("hx-swap-oob") == "true"


def test_dates_that_a_person_chose_stay(admin, bars):
    asked = {**FORM, "suggested_start": "2023-12-01", "start_date": "2024-01-05"}
    page = admin.get("/backtests/new/range", query_string=asked, htmx=True)
    assert page.by_id("start-date").get("value") == "2024-01-05"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "About 471 bars of 1 symbol."),
        ({"candle_size": "100"}, "About 100 bars"),
        ({"symbols": []}, "Choose at least one symbol."),
        ({"start_date": "", "suggested_start": ""}, "About 471 bars"),
        ({"start_date": "20/1"}, "Choose both dates"),
        ({"start_date": "2030-01-01", "end_date": "2030-01-02"}, "No bars in this range for KRW-BTC."),
        ({"start_date": "2024-01-09", "end_date": "2024-01-02"}, "No bars in this range"),
        ({"start_date": "0001-01-01", "end_date": "9999-12-31"}, "About 500 bars"),
    ],
)
def test_the_estimate_follows(admin, bars, change, words):
    page = admin.get("/backtests/new/estimate", query_string={**FORM, **change}, htmx=True)
    assert words in page.text


def test_a_sound_form_makes_a_row_and_leads_to_it(trader, bars, engine, users):
    answer = trader.post("/backtests", FORM)
    assert answer.status_code == 303
    task_id = answer.location.rpartition("/")[2]
    with session_scope(engine) as session:
        row = session.scalars(select(Backtest)).one()
        assert (str(row.task_id), row.status, row.owner_id, row.source) == (task_id, "queued", users["tom"], "web")
        assert row.spec == results.spec(end_date="2024-01-20", initial_cash=10_000)
    assert "waiting for a worker" in trader.get(answer.location).text


def test_for_htmx_the_way_is_a_header(trader, bars, engine):
    answer = trader.post("/backtests", FORM, htmx=True)
    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"].startswith("/backtests/")


def test_the_message_reaches_the_queue(app, trader, bars, engine):
    with running_valkey() as url:
        app.extensions["broker"] = broker = make_broker(url)
        trader.post("/backtests", FORM)
        with session_scope(engine) as session:
            row = session.scalars(select(Backtest)).one()
        broker.declare_queue(QUEUE_BACKTESTS)
        consumer = broker.consume(QUEUE_BACKTESTS)
        message = next(consumer)
        assert message.args == (str(row.task_id),)
        consumer.ack(message)
        consumer.close()


def test_without_a_queue_the_backtest_waits_in_the_database(trader, bars, engine):
    answer = trader.post("/backtests", FORM)
    with session_scope(engine) as session:
        row = session.scalars(select(Backtest)).one()
        assert in_line(session, limit=10, now=row.queued_at) == [row.task_id]
    assert "waiting for a worker" in trader.get(answer.location).text


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"strategy": "sma_cros"}, "strategy", "did you mean 'sma_cross'?"),
        ({"strategy": ""}, "strategy", "Is missing"),
        ({"params.fast": "abc"}, "params-fast", "Was abc; allowed: a whole number from 1 to 999."),
        ({"params.fast": "2.5"}, "params-fast", "a whole number"),
        ({"params.fast": "0"}, "params-fast", "Was 0; allowed: a whole number from 1 to 999."),
        ({"params.fast": "1e400"}, "params-fast", "Was 1e400"),
        ({"params.fast": "NaN"}, "params-fast", "Was NaN"),
        ({"params.fast": "96"}, "params-fast", "allowed: less than 96 (Slow average)."),
        ({"start_date": "2024-01-20", "end_date": "2024-01-01"}, "start-date", "on or before end_date"),
        ({"start_date": "yesterday"}, "start-date", "Was yesterday; allowed: a date such as"),
        ({"end_date": ""}, "end-date", "Is missing"),
        ({"end_date": "2024-02-30"}, "end-date", "a date such as"),
        ({"symbols": []}, "symbols", "Choose at least one symbol."),
        ({"symbols": ["krw-btc"]}, "symbols", "QUOTE-BASE"),
        ({"symbols": ["../../etc/passwd"]}, "symbols", "QUOTE-BASE"),
        ({"symbols": ["KRW-BTC", "KRW-BTC"]}, "symbols", "twice"),
        (
            {"symbols": ["KRW-DOGE"]},
            "symbols",
            "No bars for KRW-DOGE 1h; available: KRW-BTC 1h from 2024-01-01 to 2024-01-21",
        ),
        ({"symbols": ["KRW-BTC", "KRW-ETH"]}, "symbols", "KRW-ETH 1d from 2024-01-01"),
        ({"start_date": "2023-01-01", "end_date": "2023-12-31"}, "symbols", "No bars for KRW-BTC 1h"),
        ({"timeframe": "2h"}, "timeframe", "Was 2h; allowed: one of 1m, 5m"),
        ({"timeframe": ""}, "timeframe", "one of 1m, 5m"),
        ({"costs.fee_rate": "11"}, "costs-fee-rate", "Was 11; allowed: 0% to 10%."),
        ({"costs.fee_rate": "0,1"}, "costs-fee-rate", "Was 0,1; allowed: 0% to 10%."),
        ({"costs.fee_rate": "-1"}, "costs-fee-rate", "0% to 10%"),
        ({"exits.stop_loss": "0"}, "exits-stop-loss", "Was 0; allowed: above 0% and up to 100%, or nothing."),
        ({"exits.hold_bars": "1.5"}, "exits-hold-bars", "a whole number"),
        ({"initial_cash": "-5"}, "initial-cash", "a number above 0"),
        ({"candle_size": "0"}, "candle-size", "a whole number from 1"),
        ({"sizing.kind": "fraction"}, "sizing-value", "a number above 0 for fraction"),
        ({"sizing.kind": "fraction", "sizing.value": "2"}, "sizing-value", "there is no leverage"),
        ({"sizing.kind": "everything"}, "sizing-kind", "all_in"),
        ({"fill": "never"}, "fill", "next_open"),
        ({"direction": "sideways"}, "direction", "long"),
        ({"annual_days": "400"}, "annual-days", "from 1 to 366"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(trader, bars, engine, change, field, words):
    for htmx in (True, False):
        answer = trader.post("/backtests", {**FORM, **change}, htmx=htmx)
        assert answer.status_code == 422
        page = Page(answer.get_data(as_text=True))
        assert words in page.error_of(field), page.text
        assert page.whole is not htmx
    assert count(engine) == 0


def test_every_problem_is_told_at_once_and_every_value_stays(trader, bars, engine):
    typed = {
        **FORM,
        "params.fast": "x",
        "params.slow": "y",
        "costs.fee_rate": "z",
        "exits.stop_loss": "3",
        "initial_cash": "5,000",
    }
    html = trader.post("/backtests", typed, htmx=True).get_data(as_text=True)
    assert "3 things need another look." in html
    for value in ('value="x"', 'value="y"', 'value="z"', 'value="3"', 'value="5,000"', 'value="2024-01-20"'):
        assert value in html
    folds = html.count('<details class="fold') - html.count('<details class="fold-quiet')
    assert folds == html.count(" open>") + 1, "what a person changed is unfolded"


def test_an_unknown_param_is_named(trader, bars, engine):
    html = trader.post("/backtests", {**FORM, "params.fats": "3"}, htmx=True).get_data(as_text=True)
    assert escape("Unknown field 'params.fats'; did you mean 'fast'?", quote=True) in html.replace("&#39;", "&#x27;")
    assert count(engine) == 0


def test_params_of_another_strategy_are_left_alone(trader, bars, engine):
    """Without scripts the fields do not follow the strategy: what they hold then belongs to the other one."""
    answer = trader.post("/backtests", {**FORM, "strategy": "rsi_reversion"})
    assert answer.status_code == 303
    with session_scope(engine) as session:
        assert session.scalars(select(Backtest)).one().params == {"period": 14, "lower": 30.0, "upper": 55.0}


@pytest.mark.parametrize(
    "form", [{}, {"strategy": "\x00"}, {"a" * 1000: "b" * 10_000}, {"symbols": ["<script>alert(1)</script>"]}]
)
def test_garbage_is_refused_and_escaped(trader, bars, engine, form):
    answer = trader.post("/backtests", form)
    assert answer.status_code == 422
    assert "<script>alert" not in answer.get_data(as_text=True)
    assert count(engine) == 0


def test_too_much_is_refused(trader, bars, engine):
    assert trader.post("/backtests", {"strategy": "x" * 1_100_000}).status_code == 413
    assert count(engine) == 0


def test_clone_fills_the_form_and_sends_the_same_again(admin, completed, engine):
    first = completed(
        costs={"fee_rate": 0.0005, "slippage_rate": 0.0007},
        exits={"stop_loss": 0.035, "take_profit": 0.1},
        candle_size=300,
    )
    task_id = first.rpartition("/")[2]
    page = admin.get(f"/backtests/new?clone={task_id}")
    assert page.by_id("costs-fee-rate").get("value") == "0.05"
    assert page.by_id("exits-stop-loss").get("value") == "3.5"
    form = {}
    for element in page.by_id("new-backtest").iter():
        if (
            element.tag == "input"
            and element.get("name")
            and (element.get("type") != "checkbox" or "checked" in element.attrib)
        ):
            form.setdefault(element.get("name"), []).append(element.get("value"))
        if element.tag == "select":
            form[element.get("name")] = [option.get("value") for option in element if "selected" in option.attrib]
    answer = admin.post("/backtests", form)
    assert answer.status_code == 303, answer.get_data(as_text=True)
    with session_scope(engine) as session:
        old, new = session.scalars(select(Backtest).order_by(Backtest.created_at)).all()
        assert {**new.spec, "timezone": old.spec["timezone"]} == old.spec


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_defaults_survive_the_way_through_the_form(name):
    values = {**default_values(STRATEGIES[name]), "symbols": ["KRW-BTC"], "timeframe": "1h"}
    values |= {"start_date": "2024-01-01", "end_date": "2024-01-02"}
    plain = parse_spec(
        {
            "strategy": name,
            "symbols": ["KRW-BTC"],
            "timeframe": "1h",
            "start_date": "2024-01-01",
            "end_date": "2024-01-02",
        }
    )
    through = parse_spec(raw_spec(values, "UTC", STRATEGIES))
    assert through == plain
    assert raw_spec(values_from_spec(spec_to_dict(through)), "UTC", STRATEGIES) == raw_spec(values, "UTC", STRATEGIES)


def test_every_field_of_the_spec_is_in_the_form(admin, bars):
    names = {element.get("name") for element in admin.get("/backtests/new").elements}
    assert set(SPEC_FIELDS) <= names


def test_quote_currencies_that_differ_are_pointed_out(trader, bars):
    bars.merge("USD-BTC", "1h", results.bars(500))
    same = {"symbols": ["KRW-BTC"], "timeframe": "1h", "start_date": "2024-01-02", "end_date": "2024-01-09"}
    assert "Careful" not in trader.get("/backtests/new/estimate", query_string=same).text
    mixed = {**same, "symbols": ["KRW-BTC", "USD-BTC"]}
    assert "adds up KRW, USD as if" in trader.get("/backtests/new/estimate", query_string=mixed).text


def test_the_form_begins_with_the_bars_that_the_address_names(admin, bars):
    page = admin.get("/backtests/new?symbol=KRW-ETH&timeframe=1d")
    assert [one.get("value") for one in page.find("input", name="symbols") if "checked" in one.attrib] == ["KRW-ETH"]
    assert page.by_id("start-date").get("value") == "2024-01-01"
    page = admin.get("/backtests/new?symbol=KRW-NONE&timeframe=1d")
    assert [one.get("value") for one in page.find("input", name="symbols") if "checked" in one.attrib] == ["KRW-BTC"]


@pytest.mark.parametrize(
    "query",
    ["", "strategy=nope&timeframe=2h", "symbols=../x&start_date=soon", "fields_of=rsi_reversion&params.period=many"],
)
def test_the_form_with_what_was_typed_before(admin, bars, query):
    form = admin.get(f"/backtests/new/form?{query}&initial_cash=%E2%82%A91").by_id("new-backtest")
    assert form.find(".//input[@id='initial-cash']").get("value") == "₩1"
