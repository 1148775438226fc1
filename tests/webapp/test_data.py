"""The pages of the bars: what is stored, fetched, sent and deleted."""

import io
import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from storage_core import jobs
from storage_core.db import session_scope
from storage_core.fetch_request import KIND
from tests.webapp import results
from webapp.context.data import ctx_line

HEADER = "timestamp,open,high,low,close,volume\n"


def csv(first=0, count=5, *, close=101.0):
    rows = [f"{results.FIRST.timestamp() + (first + n) * 3600:.0f},100,102,99,{close},5\n" for n in range(count)]
    return (HEADER + "".join(rows)).encode()


def send(browser, content, name="KRW-XRP_1h.csv", *, htmx=False):
    return browser.post("/data/uploads", {"file": (io.BytesIO(content), name)}, htmx=htmx)


def sent(browser, content, name="KRW-XRP_1h.csv"):
    answer = send(browser, content, name)
    assert answer.status_code == 303, answer.get_data(as_text=True)
    return answer.location


def job_rows(engine):
    with session_scope(engine) as session:
        return jobs.listed(session, kinds=[KIND])


def test_the_inventory_shows_what_is_stored_and_how_good_it_is(trader, bars):
    gappy = results.bars(100)
    kept = np.r_[0:40, 60:100]
    bars.merge("USDT-BTC", "1h", {name: column[kept] for name, column in gappy.columns().items()})
    page = trader.get("/data")
    lines = {row.find(".//a").text: "".join(row.itertext()) for row in page.find("tr") if row.find(".//a") is not None}
    assert list(lines) == ["KRW-BTC", "KRW-ETH", "USDT-BTC"]
    assert "500" in lines["KRW-BTC"]
    assert "20 missing (20.00%) in 1 gap" in lines["USDT-BTC"]
    assert page.html.count("coverage-gap") == 1
    assert page.find("a", href="/data")


def test_nothing_stored_says_what_to_do(trader, viewer):
    assert "Fetch some from an exchange" in trader.get("/data").text
    assert viewer.get("/data").by_id("fetch") is None


def test_a_file_that_cannot_be_read_is_named(trader, bars):
    (bars.root / "KRW-SOL_1h.parquet").write_bytes(b"not parquet")
    page = trader.get("/data")
    assert "KRW-SOL_1h.parquet" in page.text
    assert "KRW-BTC" in page.text


def test_one_symbol_with_candles_and_quality(trader, bars):
    page = trader.get("/data/KRW-BTC/1h")
    assert "no gaps, no jumps" in page.text
    assert "No result was computed on these bars" in page.text
    chart = page.by_id("candles-chart")
    data = trader.json(f"{chart.get('data-src')}?v={chart.get('data-version')}")
    assert len(data.json["t"]) == 500
    assert "immutable" in data.headers["Cache-Control"]
    part = trader.json(f"{chart.get('data-src')}?from={data.json['t'][10]}&to={data.json['t'][19]}").json
    assert (len(part["t"]), part["complete"], part["marks"]) == (10, True, [])


@pytest.mark.parametrize(
    "address", ["/data/KRW-DOGE/1h", "/data/KRW-BTC/2h", "/data/krw-btc/1h", "/charts/bars/X/1h.json"]
)
def test_bars_that_are_not_there(trader, bars, address):
    assert trader.client.get(address).status_code == 404


def test_only_an_admin_deletes_and_only_after_typing_which(trader, admin, bars, completed):
    completed(symbols=["KRW-BTC"], timeframe="1h")
    assert trader.post("/data/KRW-BTC/1h/delete", {"confirm": "KRW-BTC"}).status_code == 403
    page = admin.get("/data/KRW-BTC/1h")
    assert "1 result" in page.text
    refused = admin.post("/data/KRW-BTC/1h/delete", {"confirm": "KRW"})
    assert "Nothing was deleted" in admin.get(refused.location.split("#")[0]).error_of("confirm")
    assert admin.post("/data/KRW-BTC/1h/delete", {"confirm": "krw-btc"}).location == "/data"
    assert "KRW-BTC 1h are deleted" in admin.get("/data").text
    assert [one.symbol for one in bars.inventory()] == ["KRW-ETH"]


def test_a_fetch_is_a_job_that_the_page_follows(trader, engine, bars):
    asked = {"exchange": "upbit", "symbol": "krw-xrp", "timeframe": "1h", "start": "2024-01-01", "wins": "stored"}
    begun = trader.post("/data/fetch", asked, htmx=True).get_data(as_text=True)
    assert 'id="fetch"' in begun
    assert '<div id="jobs" hx-swap-oob="true" hx-get="/data/jobs"' in begun
    assert "KRW-XRP 1h from Upbit" in begun
    (job,) = job_rows(engine)
    assert job.args["symbol"] == "KRW-XRP"
    page = trader.get("/data/jobs", htmx=True)
    assert page.by_id("jobs").get("hx-trigger") == "every 1s"
    assert "KRW-XRP 1h from Upbit since 2024-01-01" in page.text
    trader.post(f"/data/jobs/{job.job_id}/cancel", htmx=True)
    page = trader.get("/data/jobs", htmx=True)
    assert "cancelled; what had been stored stays" in page.text
    assert page.by_id("jobs").get("hx-trigger") is None
    assert page.by_id("inventory").get("hx-swap-oob") == "true"


def test_a_fetch_without_scripts_leads_to_the_page(trader, engine, bars):
    asked = {"exchange": "upbit", "symbol": "KRW-XRP", "timeframe": "1h", "start": "2024-01-01", "wins": "stored"}
    assert trader.post("/data/fetch", asked).location == "/data"
    assert len(job_rows(engine)) == 1


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"symbol": "bitcoin"}, "symbol", "Was bitcoin; allowed: quote-base"),
        ({"start": ""}, "start", "no bars of KRW-XRP 1h are stored"),
        ({"exchange": "ccxt", "other": "../"}, "exchange", "ccxt:kraken"),
    ],
)
def test_a_wrong_fetch_is_answered_beside_its_field(trader, engine, changes, field, said):
    asked = {"exchange": "upbit", "symbol": "KRW-XRP", "timeframe": "1h", "start": "2024-01-01", **changes}
    for htmx in (True, False):
        answer = trader.post("/data/fetch", asked, htmx=htmx)
        assert answer.status_code == 422
        html = answer.get_data(as_text=True)
        assert said in re.search(rf'id="{field}-error">([^<]+)', html)[1].replace("&#39;", "'")
    assert job_rows(engine) == []


def test_what_became_of_fetches_is_told(trader, engine, users):
    def job(**columns):
        args = {"exchange": "binance", "symbol": "USDT-BTC", "timeframe": "1h", "start": "2024-01-01T00:00:00+00:00",
                "end": None, "wins": "stored"}  # fmt: skip
        with session_scope(engine) as session:
            made = jobs.create(session, kind=KIND, args=args, owner_id=users["ada"])
            for name, value in columns.items():
                setattr(made, name, value)

    example = {
        "at": "2024-01-01T03:00:00+00:00",
        "stored": {"close": 7.5, "volume": 1.0},
        "new": {"close": 8.5, "volume": 2.0},
    }
    job(status="completed", outcome={"added": 1, "rows": 500, "conflicts": 2, "examples": [example]})
    job(status="failed", error_message="binance: it has no market USDT-BTX")
    job(status="running", progress=0.4, phase="2024-03-01, 3 pages")
    job(status="queued", error_message="upbit: it answered 503")
    page = trader.get("/data")
    for said in ("1 bar added, 500 stored", "2 stored bars differ and were kept", "2024-01-01 03:00",
                 "no market USDT-BTX", "40% · 2024-03-01, 3 pages",
                 "waits to try again: upbit: it answered 503"):  # fmt: skip
        assert said in page.text
    assert page.find("button", type="submit")
    assert not [form for form in page.find("form") if "/jobs/" in (form.get("action") or "")]  # they are another's


def test_a_file_from_sending_to_saving(trader, bars):
    place = sent(trader, csv())
    page = trader.get(place)
    assert page.find("input", id="symbol")[0].get("value") == "KRW-XRP"
    assert "Bars that are new 5" in page.text
    assert [one.symbol for one in bars.inventory()] == ["KRW-BTC", "KRW-ETH"]
    form = {element.get("name"): element.get("value") for element in page.find("input", type="hidden")}
    saved = trader.post(f"{place}/save", form)
    assert saved.location == "/data/KRW-XRP/1h"
    assert "5 bars added" in trader.get(saved.location).text
    assert len(bars.read("KRW-XRP", "1h")) == 5
    assert trader.client.get(place).status_code == 404


def test_bars_that_differ_need_a_decision_which_only_an_admin_may_take_against_history(trader, admin, bars):
    bars.merge("KRW-XRP", "1h", {name: column[:3] for name, column in results.bars(5).columns().items()})
    for browser, wins, status in ((trader, "", 422), (trader, "new", 403), (admin, "new", 303)):
        place = sent(browser, csv())
        page = browser.get(place)
        assert "Stored already, but different 3" in page.text
        form = {element.get("name"): element.get("value") for element in page.find("input", type="hidden")}
        answer = browser.post(f"{place}/save", {**form, "wins": wins})
        assert answer.status_code == status
    assert bars.read("KRW-XRP", "1h").close.tolist() == [101.0] * 5


def test_answers_are_in_the_address_and_only_the_report_is_drawn_anew(trader, bars):
    place = sent(trader, HEADER.encode() + b"2024-01-01 09:00,100,102,99,101,5\nsoon,1,1,1,1,1\n", "prices.csv")
    first = trader.get(place)
    assert "Say whose bars these are" in first.text
    part = trader.get(f"{place}?symbol=KRW-XRP&timeframe=1h&zone=Asia/Seoul", htmx=True)
    assert not part.whole
    assert "From 2024-01-01 00:00 UTC" in part.text
    assert "row 2: the time cannot be read" in part.text
    assert part.find("button", type="submit")[-1].text == "Look again"
    whole = trader.get(f"{place}?symbol=KRW-XRP&timeframe=1h&leave_out=on")
    assert whole.find("button", type="submit")[-1].text == "Save"
    assert "e.g. KRW-BTC" in trader.get(f"{place}?symbol=btc&timeframe=1h", htmx=True).error_of("symbol")


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"PK\x03\x04rest", "bars.zip", "zip archive"),
        (b"", "x.csv", "empty"),
        (b"a,b\n\xff\xff,1\n2,3\n" * 9, "x.csv", "not UTF-8"),
        (csv(), "", "Choose a file first"),
    ],
)
def test_a_hostile_file_is_answered_beside_the_field_and_leaves_nothing(trader, settings, content, name, said):
    answer = send(trader, content, name, htmx=True)
    assert answer.status_code == 422
    assert said in answer.get_data(as_text=True)
    folder = settings.data_dir / "uploads"
    assert not folder.exists() or not [path for path in folder.iterdir() if path.stat().st_size > 500]
    assert send(trader, content, name).status_code == 303  # without scripts: the page with a message
    assert said in trader.get("/data").text


def test_files_may_be_larger_than_forms_but_not_too_large(trader, monkeypatch):
    wide = HEADER.encode() + b"2024-01-01 09:00,100,102,99,101,5" + b" " * 2_000_000
    disposition = b'Content-Disposition: form-data; name="file"; filename="KRW-XRP_1h.csv"'
    body = b"\r\n".join([b"--wall", disposition, b"Content-Type: text/csv", b"", wide, b"--wall--", b""])
    headers = {"X-CSRFToken": trader.token(), "Content-Type": "multipart/form-data; boundary=wall"}

    def status(address="/data/uploads"):
        return trader.client.post(address, data=body, headers=headers).status_code

    assert status() == 303
    assert status("/data/fetch") == 413
    monkeypatch.setattr("webapp.uploads.LARGEST", 1_000_000)
    assert status() == 413


def test_a_sent_file_is_nobody_elses(trader, admin, viewer):
    place = sent(trader, csv())
    assert admin.client.get(place).status_code == 404
    assert viewer.client.get(place).status_code == 403
    assert send(viewer, csv()).status_code == 403
    assert trader.post(f"{place}/discard").location == "/data"
    assert trader.client.get(place).status_code == 404


def test_the_holes_of_a_short_series_leave_its_bar_to_be_seen():
    start = datetime(2025, 9, 1, tzinfo=UTC)
    micros = int(start.timestamp() * 1e6)
    gaps = tuple((micros + number * 10**9, micros + number * 10**9 + 10**8, 1) for number in range(1, 9))
    quality = SimpleNamespace(
        word="good",
        largest_gaps=gaps,
        missing_bars=8,
        rows=9,
        gaps=8,
        off_grid_bars=0,
        jump_count=0,
        zero_volume_bars=0,
    )
    short = SimpleNamespace(
        symbol="KRW-SOL", timeframe="1m", rows=9, bytes=1, quality=quality, first=start, last=start + timedelta(days=30)
    )
    line = ctx_line(short, start - timedelta(days=4000), start + timedelta(days=30))
    assert sum(gap["width"] for gap in line["gaps"]) < line["bar"]["width"] / 2
    assert line["bar"]["x"] + line["bar"]["width"] == pytest.approx(1000)
