"""The list of trades: filters, order, pages, CSV."""

import csv
import io

import pytest

from tests.webapp import results


@pytest.fixture
def address(completed) -> str:
    """120 trades of two symbols each; the last one of each is open."""
    return completed(symbols=["KRW-BTC", "KRW-ETH"], trades=120, count=2_000)


def lines(page) -> list[list[str]]:
    bodies = page.find("tbody")
    return [["".join(cell.itertext()).strip() for cell in line] for line in bodies[0]] if bodies else []


def rows(admin, address: str, query: str = "") -> list[dict[str, str]]:
    answer = admin.client.get(f"{address}/trades.csv{query}")
    assert answer.status_code == 200
    assert answer.mimetype == "text/csv"
    return list(csv.DictReader(io.StringIO(answer.get_data(as_text=True))))


FILTERS = {
    "symbol=KRW-ETH": lambda row: row["symbol"] == "KRW-ETH",
    "side=short": lambda row: row["side"] == "short",
    "outcome=profit": lambda row: row["exit_reason"] != "open" and float(row["pnl"]) > 0,
    "outcome=loss": lambda row: row["exit_reason"] != "open" and float(row["pnl"]) < 0,
    "outcome=open": lambda row: row["exit_reason"] == "open",
    "reason=stop": lambda row: row["exit_reason"] == "stop",
    "reason=stop&outcome=loss&symbol=KRW-BTC": lambda row: (
        row["exit_reason"] == "stop" and float(row["pnl"]) < 0 and row["symbol"] == "KRW-BTC"
    ),
}


@pytest.mark.parametrize("query", FILTERS)
def test_a_filter_leaves_what_it_says(admin, address, query):
    everything = rows(admin, address)
    expected = [row for row in everything if FILTERS[query](row)]
    assert rows(admin, address, f"?{query}") == expected
    page = admin.get(f"{address}/trades?{query}")
    assert len(lines(page)) == min(len(expected), 50)
    assert f"{len(expected)} of 240 trades" in page.text
    if not expected:
        assert "No trade is like that" in page.text


@pytest.mark.parametrize("column", ["pnl", "return_pct", "hold_bars", "mae_pct", "mfe_pct", "entry_price", "quantity"])
def test_sorting_by_a_column(admin, address, column):
    name = {"return_pct": "return", "hold_bars": "bars", "mae_pct": "mae", "mfe_pct": "mfe"}.get(column, column)
    for sign in ("", "-"):
        found = [float(row[column]) for row in rows(admin, address, f"?sort={sign}{name}")]
        assert found == sorted(found, reverse=bool(sign))
        assert len(found) == 240


@pytest.mark.parametrize("name", ["exit", "exit_price"])
def test_what_has_no_value_comes_last_either_way(admin, address, name):
    for sign in ("", "-"):
        found = rows(admin, address, f"?sort={sign}{name}")
        assert [row["exit_reason"] for row in found[-2:]] == ["open", "open"]


def test_sorting_by_text_and_by_entry(admin, address):
    symbols = [row["symbol"] for row in rows(admin, address, "?sort=symbol")]
    assert symbols == sorted(symbols)
    numbers = [int(row["number"]) for row in rows(admin, address, "?sort=number")]
    assert numbers == list(range(1, 241))
    assert [int(row["number"]) for row in rows(admin, address)] == numbers[::-1]


def test_heads_sort_and_say_which_way(admin, address):
    page = admin.get(f"{address}/trades?symbol=KRW-BTC")
    assert page.by_id("sort-return").get("href") == f"{address}/trades?symbol=KRW-BTC&sort=-return"
    sorted_page = admin.get(f"{address}/trades?sort=-return")
    heads = [head for head in sorted_page.find("th", scope="col") if head.get("aria-sort")]
    assert [head.get("aria-sort") for head in heads] == ["descending"]
    assert sorted_page.by_id("sort-return").get("href") == f"{address}/trades?sort=return"
    assert sorted_page.by_id("trades-next").get("href") == f"{address}/trades?page=2&sort=-return"


def test_what_is_not_there_is_said_with_what_is(admin, address):
    page = admin.get(f"{address}/trades?symbol=KRW-XRP&sort=luck&side=long")
    assert "symbol was 'KRW-XRP'; allowed: KRW-BTC, KRW-ETH." in page.text
    assert "sort was 'luck'; allowed: number, symbol" in page.text
    assert len(lines(page)) == 50
    assert admin.client.get(f"{address}/trades.csv?outcome=luck").status_code == 400


def test_the_filters_are_a_form_that_works_without_a_script(admin, address):
    page = admin.get(f"{address}/trades?side=long&sort=-pnl")
    (form,) = page.find("form", action=f"{address}/trades")
    assert form.get("method") == "get"
    chosen = [option.get("value") for option in page.find("option", selected="")]
    assert chosen == ["long"]
    assert page.find("input", name="sort", type="hidden")[0].get("value") == "-pnl"


def test_csv_of_what_has_no_result(admin, engine, users):
    assert admin.client.get(f"/backtests/{results.queue(engine, owner_id=users['ada'])}/trades.csv").status_code == 404
