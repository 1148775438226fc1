"""The report: one file, complete, that asks nobody for anything."""

import re

import html5lib
import pytest

from storage_core.bar_store import BarStore
from storage_core.db import session_scope
from storage_core.models import Backtest
from tests.webapp import results
from webapp.context.report import MOST_TRADES, time_ticks

DAY = 86_400_000_000


def html_of(admin, address: str) -> str:
    answer = admin.client.get(f"{address}/report.html")
    assert answer.status_code == 200
    assert "style-src 'unsafe-inline'" in answer.headers["Content-Security-Policy"]
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    return answer.get_data(as_text=True)


def test_it_holds_everything_and_loads_nothing(admin, completed):
    html = html_of(admin, completed(count=5_000, trades=60))
    parser = html5lib.HTMLParser()
    parser.parse(html)
    assert not parser.errors
    for words in ("+41.87%", "Can I trust it?", "No lookahead", "Assumptions", "Monthly returns",
                  "Rolling Sharpe ratio", "Exit reasons", "Bars that were used", "All metrics", "Calmar ratio",
                  "The request as JSON", "&#34;strategy&#34;: &#34;sma_cross&#34;", "Asia/Seoul"):  # fmt: skip
        assert words in html, words
    html, icons = re.subn(r'<link rel="icon" href="data:image/svg[^"]+">', "", html)
    assert icons == 1, "without one of its own, a browser asks the server for /favicon.ico"
    assert not re.search(r"<(script|link|img|iframe|object|embed|form)\b", html)
    assert not re.search(r"(src|href|action)=", html.replace('href=""', ""))
    assert "url(" not in html
    assert "@import" not in html
    assert len(re.findall(r"<tr><td>\d", html)) == 60
    assert "{{" not in html


def test_many_trades_are_capped_with_a_word_about_it(admin, completed):
    html = html_of(admin, completed(count=5_000, trades=MOST_TRADES + 20))
    assert f"the last {MOST_TRADES} of {MOST_TRADES + 20}" in html
    assert len(re.findall(r"<tr><td>\d", html)) == MOST_TRADES


def test_a_result_without_trades_has_a_report_too(admin, completed):
    assert "No trades" in html_of(admin, completed(trades=0))


def test_several_symbols_some_switched_off(admin, engine, settings, users):
    for seed, symbol in enumerate(("KRW-BTC", "KRW-ETH")):
        BarStore(settings.bars_dir).merge(symbol, "1h", results.bars(500, seed=seed))
    both = {"owner_id": users["ada"], "symbols": ["KRW-BTC", "KRW-ETH"]}
    address = f"/backtests/{results.computed(engine, settings, **both)}"
    admin.post(f"{address}/symbols", {"symbol": "KRW-ETH"})
    html = html_of(admin, address)
    assert "Figures of KRW-BTC only" in html
    assert "(switched off)" in html


def test_hostile_strings_are_text(admin, completed, engine):
    address = completed()
    hostile = "</style><script>alert(1)</script>{{ 7*7 }}"
    with session_scope(engine) as session:
        row = session.get_one(Backtest, results.uuid.UUID(address[-36:]))
        row.strategy, row.params, row.tags = hostile, {hostile: hostile}, [hostile]
    html = html_of(admin, address)
    assert "<script" not in html
    assert "&lt;/style&gt;&lt;script&gt;" in html


def test_whoever_may_not_see_it_gets_no_report(trader, admin, completed, engine, users):
    assert trader.client.get(f"{completed()}/report.html").status_code == 404
    waiting = results.queue(engine, owner_id=users["ada"])
    assert admin.client.get(f"/backtests/{waiting}/report.html").status_code == 404


@pytest.mark.parametrize("days", [0.1, 1, 4, 20, 61, 70, 200, 400, 1_500, 4_000, 20_000])
def test_an_axis_of_time_has_a_few_words_in_order(days):
    first = 1_704_067_200_000_000
    marks = time_ticks(first, first + int(days * DAY), "Asia/Seoul")
    assert 1 <= len(marks) <= 9
    places = [place for place, _ in marks]
    assert places == sorted(places)
    assert all(first <= place <= first + days * DAY for place in places)
