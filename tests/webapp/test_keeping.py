"""What people do with a result on its page: note, tag, pin, share, switch symbols, delete, take back."""

import uuid
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from storage_core import backtest_keeping
from storage_core.bar_store import BarStore
from storage_core.db import session_scope, utc_now
from storage_core.models import Backtest
from tests.webapp import results
from webapp import symbol_figures

SYMBOLS = ["KRW-BTC", "KRW-ETH", "KRW-XRP"]


def row(engine: Engine, address: str) -> Backtest:
    with session_scope(engine) as session:
        return session.get_one(Backtest, uuid.UUID(address[-36:]))


def change(engine: Engine, address: str, **values) -> None:
    with session_scope(engine) as session:
        found = session.get_one(Backtest, uuid.UUID(address[-36:]))
        for name, value in values.items():
            setattr(found, name, value)


@pytest.fixture
def several(engine, settings, users) -> str:
    """The engine's own result of three symbols."""
    store = BarStore(settings.bars_dir)
    for seed, symbol in enumerate(SYMBOLS):
        store.merge(symbol, "1h", results.bars(500, seed=seed))
    spec = {"symbols": SYMBOLS, "params": {"fast": 5, "slow": 20}}
    return f"/backtests/{results.computed(engine, settings, owner_id=users['ada'], **spec)}"


def test_note_and_tags(admin, completed, engine):
    address = completed()
    assert "What did you learn" in admin.get(f"{address}/note", htmx=True).text
    form = admin.get(f"{address}/note?edit=1", htmx=True)
    assert form.find("form", hx_post=f"{address}/note")[0].get("hx-target") == "#note"
    answer = admin.post(f"{address}/note", {"note": " holds up\nin spring ", "tags": "trend, btc,, btc"}, htmx=True)
    html = answer.get_data(as_text=True)
    assert "holds up\nin spring" in html
    assert 'id="chips" hx-swap-oob="true"' in html
    assert (row(engine, address).note, row(engine, address).tags) == ("holds up\nin spring", ["btc", "trend"])
    page = admin.get(address)
    assert [chip.text for chip in page.by_id("chips").iter("a")] == ["btc", "trend"]
    assert page.find("a", href="/backtests?tag=trend")
    assert admin.post(f"{address}/note", {"note": "plain", "tags": ""}).location == address
    assert admin.get(f"{address}?edit=note").by_id("note-note").text == "plain"


def test_a_note_that_is_wrong_stays_in_the_form_with_the_reason(admin, completed, engine):
    address = completed()
    answer = admin.post(f"{address}/note", {"note": "x", "tags": "y" * 41}, htmx=True)
    html = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "1 to 40 printable characters" in html
    assert f'value="{"y" * 41}"' in html
    assert 'aria-invalid="true"' in html
    assert row(engine, address).note == ""


def test_pin_and_share_with_a_link(admin, trader, completed, engine):
    address = completed()
    assert trader.client.get(address).status_code == 404
    for what, column in (("pin", "pinned"), ("share", "shared")):
        fragment = admin.post(f"{address}/{what}", {"on": "yes"}, htmx=True).get_data(as_text=True)
        assert 'id="head"' in fragment
        assert getattr(row(engine, address), column)
    assert "cannot be deleted" in admin.get(address).text
    assert admin.get(address).by_id("share-link").get("value").endswith(address)
    page = trader.get(address)
    assert "shared" in page.text
    assert not page.by_id("more-menu")
    assert not page.find("a", href=f"{address}?edit=note")
    for tab in ("chart", "trades", "analysis", "setup"):
        trader.get(f"{address}/{tab}")
    for what in ("note", "pin", "share", "symbols", "delete"):
        assert trader.post(f"{address}/{what}").status_code == 403, what
    assert admin.post(f"{address}/share", {"on": ""}).location == address
    assert trader.client.get(address).status_code == 404


def test_delete_and_take_it_back(admin, trader, completed, engine):
    address = completed()
    assert admin.post(f"{address}/delete").location == address
    page = admin.get(address)
    assert "This backtest was deleted" in page.text
    assert page.find("form", action=f"{address}/restore")
    assert trader.client.get(address).status_code == 404
    assert trader.post(f"{address}/restore").status_code == 404
    for tab in ("chart", "trades", "analysis", "setup"):
        assert admin.client.get(f"{address}/{tab}").location == address
    within = admin.client.get(f"{address}/trades", headers={"HX-Request": "true"})
    assert within.headers["HX-Redirect"] == address
    assert trader.client.get(f"{address}/chart").status_code == 404
    assert admin.post(f"{address}/restore").location == address
    assert "The backtest is back." in admin.get(address).text
    admin.post(f"{address}/delete")
    change(engine, address, deleted_at=utc_now() - timedelta(days=8))
    page = admin.get(address)
    assert "too long ago" in page.text
    assert not page.find("form", action=f"{address}/restore")
    assert admin.post(f"{address}/restore").location == "/backtests"


def test_a_pinned_one_is_not_deleted(admin, completed, engine):
    address = completed()
    change(engine, address, pinned=True)
    admin.post(f"{address}/delete")
    assert row(engine, address).deleted_at is None
    assert "It was not deleted" in admin.get(address).text


def test_symbols_are_switched_off_and_everything_follows(admin, several, engine, settings, users):
    spec = {"symbols": SYMBOLS[1:], "params": {"fast": 5, "slow": 20}}
    alone = f"/backtests/{results.computed(engine, settings, owner_id=users['ada'], **spec)}"
    chart = several.replace("backtests", "charts") + "/equity.json"
    whole = admin.json(chart).json
    answer = admin.post(f"{several}/symbols", {"symbol": "KRW-BTC"}, htmx=True)
    assert answer.headers["HX-Retarget"] == "#backtest"
    html = answer.get_data(as_text=True)
    assert "2 of 3 symbols" in html
    page = admin.get(several)
    values = [strip_values(admin.get(address)) for address in (several, alone)]
    assert values[0] == values[1]
    assert "1 of 3 symbols are switched off" in page.text
    assert page.by_id("count-KRW-BTC").get("checked") is None
    assert page.by_id("count-KRW-ETH").get("checked") is not None
    part = admin.json(chart).json
    assert part["equity"] == admin.json(alone.replace("backtests", "charts") + "/equity.json").json["equity"]
    assert part["equity"] != whole["equity"]
    for tab in ("analysis", "trades", "setup", "report.html"):
        admin.client.get(f"{several}/{tab}")
    admin.post(f"{several}/symbols", {"symbol": "KRW-ETH"}, htmx=True)
    last = admin.get(several).by_id("count-KRW-XRP")
    assert last.get("disabled") is not None
    assert admin.post(f"{several}/symbols", {"symbol": "KRW-XRP"}, htmx=True).status_code == 422
    assert admin.post(f"{several}/symbols").location == several
    assert admin.json(chart).json["equity"] == whole["equity"]
    assert "active_symbols" not in row(engine, several).metadata_


def test_of_two_who_switch_symbols_at_once_both_are_heard(admin, several, engine, monkeypatch):
    """The figures take a while, and meanwhile somebody switches another symbol off."""
    compute, seen = symbol_figures.figures_of, []

    def while_it_computes(settings, store, backtest, symbols):
        seen.append(list(symbols))
        if len(seen) == 1:
            with session_scope(engine) as session:
                backtest_keeping.choose_symbols(session, backtest.task_id, ["KRW-BTC", "KRW-XRP"], {"sharpe": 1.0})
        return compute(settings, store, backtest, symbols)

    monkeypatch.setattr(symbol_figures, "figures_of", while_it_computes)
    admin.post(f"{several}/symbols", {"symbol": "KRW-BTC"}, htmx=True)
    assert seen == [["KRW-ETH", "KRW-XRP"], ["KRW-XRP"]]
    assert row(engine, several).metadata_["active_symbols"]["symbols"] == ["KRW-XRP"]


def strip_values(page) -> list[str]:
    return ["".join(cell.itertext()) for cell in page.find("dl", class_="strip")[0].iter("dd")]


def test_one_symbol_has_no_switch(admin, completed):
    address = completed()
    assert not [element for element in admin.get(address).elements if element.get("role") == "switch"]
    assert admin.post(f"{address}/symbols", {"symbol": "KRW-BTC"}).status_code == 400


def test_bars_that_changed_since_are_said(admin, several, settings):
    page = admin.get(several)
    assert page.by_id("data-changed").get("hx-get") == f"{several}/data-changed"
    assert "Same bars as today" in admin.get(f"{several}/data-changed", htmx=True).text
    bars = results.bars(500, seed=1)
    bars.close[7] *= 1.001
    bars.high[7] *= 1.01
    BarStore(settings.bars_dir).merge("KRW-ETH", "1h", bars, wins="new")
    said = admin.get(f"{several}/data-changed", htmx=True)
    assert "The data changed since." in said.text
    assert "other bars of KRW-ETH are stored now" in said.text
    assert said.find("a", href=f"/backtests/new?clone={several[-36:]}")


@pytest.mark.parametrize("table", ["symbol_signals", "performance_curve"])
def test_files_that_are_gone_or_damaged_leave_a_page_that_says_so(admin, completed, settings, table):
    address = completed()
    (path,) = settings.results_dir.glob(f"backtests/*/{table}.parquet")
    path.write_bytes(b"PAR1 nothing of use PAR1")
    damaged = admin.get(address, status=500)
    assert "A file of this result cannot be read" in damaged.text
    assert "+41.87%" in damaged.text
    assert damaged.find("a", href=f"/backtests/new?clone={address[-36:]}")
    path.unlink()
    assert "The files of this result are gone" in admin.get(address, status=404).text
