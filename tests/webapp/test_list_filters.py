"""The list's address: filters, order, columns, pages, saved views, what is wrong with a value."""

import csv
import io
import re
import uuid
from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.datastructures import MultiDict

from storage_core import backtests
from storage_core.backtest_list import SORTS
from storage_core.db import session_scope, utc_now
from storage_core.models import Backtest
from storage_core.models.backtest import METRIC_COLUMNS
from tests.webapp import results
from webapp.api.requests import ListQuery
from webapp.columns import COLUMNS, DEFAULT_COLUMNS
from webapp.list_query import FILTERS, Viewer, read

SEOUL = Viewer(id=1, zone="Asia/Seoul", owners={"me": 1, "tom": 2})


@pytest.fixture
def asked(app):
    """Reads an address as ada would have it read."""

    def ask(**args):
        with app.test_request_context():
            return read(MultiDict(args), SEOUL)

    return ask


@pytest.fixture
def listed(engine, users):
    """Completed rows without files: name -> id. Each has its own strategy, Sharpe and symbol."""
    made = {}
    now = utc_now()
    kinds = (
        ("sma", "sma_cross", "KRW-BTC", 2.0, 30.0, ["trend"], True),
        ("rsi", "rsi_reversion", "KRW-ETH", -1.0, -12.5, ["trend", "btc"], False),
        ("don", "donchian_breakout", "KRW-BTC", None, 0.0, [], False),
    )
    with session_scope(engine) as session:
        for age, (name, strategy, symbol, sharpe, gained, tags, pinned) in enumerate(kinds):
            spec = results.spec(strategy=strategy, symbols=[symbol], params={})
            row = backtests.create(session, spec=spec, owner_id=users["ada"], source="web")
            row.status, row.progress, row.created_at = "completed", 1.0, now - timedelta(days=age * 10)
            row.sharpe, row.total_return_pct, row.tags, row.pinned = sharpe, gained, tags, pinned
            row.note = f"a note about {name}"
            made[name] = row.task_id
    return made


def names(page, listed):
    """Which of the listed are on the page, in its order."""
    by_id = {f"backtest-{task_id}": name for name, task_id in listed.items()}
    return [by_id[row.get("id")] for row in page.find("tr") if row.get("id") in by_id]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["sma", "rsi", "don"]),
        ("strategy=sma_cross&strategy=rsi_reversion", ["sma", "rsi"]),
        ("symbol=krw-btc", ["sma", "don"]),
        ("symbol=KRW-BTC,KRW-ETH", ["sma", "rsi", "don"]),
        ("status=failed", []),
        ("timeframe=1h", ["sma", "rsi", "don"]),
        ("timeframe=1d", []),
        ("tag=trend", ["sma", "rsi"]),
        ("tag=trend,btc", ["rsi"]),
        ("pinned=true", ["sma"]),
        ("pinned=false", ["rsi", "don"]),
        ("shared=true", []),
        ("source=web", ["sma", "rsi", "don"]),
        ("source=api", []),
        ("owner=me", ["sma", "rsi", "don"]),
        ("owner=tom", []),
        ("submitted=7d", ["sma"]),
        ("submitted=30d", ["sma", "rsi", "don"]),
        ("period_from=2024-01-01&period_to=2024-01-31", ["sma", "rsi", "don"]),
        ("period_from=2024-01-02", []),
        ("sharpe_min=0", ["sma"]),
        ("sharpe_max=-0.5", ["rsi"]),
        ("total_return_pct_min=-20&total_return_pct_max=0", ["rsi", "don"]),
        ("text=about rsi", ["rsi"]),
        ("sort=-sharpe", ["sma", "rsi", "don"]),
        ("sort=sharpe", ["rsi", "sma", "don"]),
        ("sort=created_at", ["don", "rsi", "sma"]),
    ],
)
def test_every_filter_and_order(admin, listed, query, expected):
    page = admin.get(f"/backtests?{query}")
    assert names(page, listed) == expected
    if not expected:
        assert "Nothing matches" in page.text
        assert page.find("a", href="/backtests")


def test_pages_have_the_names_of_the_api():
    of_api = set(ListQuery.model_fields) - {"deleted", "owner_id"}  # the page asks for owners by name
    of_page = {*FILTERS, "sort", "size", "after", "before", "column"}
    assert of_api <= of_page
    assert of_page - of_api == {"submitted", "owner", "column"}


@pytest.mark.parametrize(
    ("query", "field", "allowed"),
    [
        ("status=done", "status", "queued, running"),
        ("timeframe=2h", "timeframe", "1m, 5m"),
        ("symbol=bitcoin", "symbol", "KRW-BTC"),
        ("sharpe_min=high", "sharpe_min", "a number such as 1.5"),
        ("sharpe_min=NaN", "sharpe_min", "a number"),
        ("sharpe_min=2&sharpe_max=1", "sharpe_max", "Is below the lowest, 2"),
        ("submitted_from=yesterday", "submitted_from", "a date such as 2024-12-31"),
        ("submitted_from=2024-02-02&submitted_to=2024-02-01", "submitted_to", "Is before the first day"),
        ("period_from=2024-02-30", "period_from", "a date"),
        ("pinned=maybe", "pinned", "true, false"),
        ("owner=nobody", "owner", "me"),
        ("submitted=2w", "submitted", "7d"),
        ("source=mail", "source", "web, api"),
        ("text=" + "x" * 201, "text", "200 characters"),
    ],
)
def test_a_wrong_filter_is_said_beside_its_field(admin, listed, query, field, allowed):
    page = admin.get(f"/backtests?{query}", status=422)
    assert allowed in page.error_of(f"filter-{field}")
    assert names(page, listed) == []
    assert "1 filter needs another look" in page.text
    opened = [element for element in page.find("details") if "open" in element.attrib]
    assert opened or field == "text"
    assert admin.get(f"/backtests?{query}", status=422, htmx=True).error_of(f"filter-{field}")


def test_an_order_that_there_is_not_is_said_to_be(admin, listed):
    page = admin.get("/backtests?sort=speed&strategy=sma_cross", status=422)
    assert page.find("a", href="/backtests?strategy=sma_cross")
    assert "Nothing was looked up" in page.text
    assert "Was speed; allowed: created_at," in "".join(page.by_id("sort-error").itertext())
    assert "filter" not in page.text.partition("Nothing was looked up")[2].partition("Show the newest first")[0]


def test_params_say_where_they_are_expected_to_sort_that_they_have_no_order(admin, listed):
    why = "Params have no order, as every strategy has its own. Sort by a metric."
    assert why in admin.get("/backtests?sort=-params", status=422).text
    (head,) = [one for one in admin.get("/backtests").find("th") if one.text == "Params"]
    assert head.get("title") == why


def test_empty_fields_of_a_plain_form_leave_the_address(admin, listed):
    answer = admin.client.get("/backtests?text=&strategy=sma_cross&symbol=&sharpe_min=&sort=-sharpe")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/backtests?strategy=sma_cross&sort=-sharpe")


def test_htmx_gets_the_list_alone_and_the_short_address(admin, listed):
    answer = admin.client.get(
        "/backtests?text=&strategy=sma_cross&size=25&sort=-created_at", headers={"HX-Request": "true"}
    )
    assert answer.headers["HX-Push-Url"] == "/backtests?strategy=sma_cross"
    assert answer.get_data(as_text=True).lstrip().startswith('<div id="list">')
    assert "HX-Request" in answer.headers["Vary"]
    restored = admin.get("/backtests", headers={"HX-Request": "true", "HX-History-Restore-Request": "true"})
    assert restored.whole


def test_days_are_the_persons_own(asked):
    filters = asked(submitted_from="2024-05-01", submitted_to="2024-05-02").filters
    assert filters.submitted_from == datetime(2024, 4, 30, 15, tzinfo=UTC)
    assert filters.submitted_to == datetime(2024, 5, 2, 15, tzinfo=UTC)
    assert asked(period_from="2024-05-01").filters.period_from == date(2024, 5, 1)


def test_what_was_read_is_written_back(asked):
    query = "strategy=a&strategy=b&text=x+y&pinned=true&sharpe_min=1.5&sort=sharpe&size=50&column=sharpe&column=fees"
    again = asked(**parse_qs(query))
    assert parse_qs(again.query()) == parse_qs(query)
    assert again.columns == ("sharpe", "fees")
    assert asked().query() == ""
    assert asked(size="7", column="nonsense", strategy="  ").query() == ""
    assert "sort" not in parse_qs(again.query(sort="-created_at"))


def test_headers_sort_and_say_so(admin, listed):
    page = admin.get("/backtests?strategy=sma_cross&sort=-sharpe")
    (head,) = [one for one in page.find("th") if one.get("aria-sort")]
    assert (head.get("aria-sort"), "".join(head.itertext())) == ("descending", "Sharpe▾")
    back = page.by_id("sort-sharpe")
    assert back.get("href") == back.get("hx-get") == "/backtests?strategy=sma_cross&sort=sharpe"
    assert page.by_id("sort-max_drawdown_pct").get("href").endswith("sort=max_drawdown_pct")  # the smallest first
    assert page.by_id("sort-created_at").get("href") == "/backtests?strategy=sma_cross"


@pytest.mark.parametrize(
    ("column", "first", "said"),
    [
        ("strategy", "strategy", "by strategy, A to Z"),
        ("symbols", "symbols", "by symbols, A to Z"),
        ("timeframe", "timeframe", "by timeframe, A to Z"),
        ("period", "-start_date", "start of the period latest first"),
        ("source", "source", "by source, A to Z"),
        ("note", "note", "by note, A to Z"),
    ],
)
def test_headers_of_text_and_days_sort_too(admin, listed, column, first, said):
    shown = f"column={column}&column=sharpe"
    page = admin.get(f"/backtests?{shown}")
    assert f"sort={first}" in page.by_id(f"sort-{column}").get("href")
    page = admin.get(f"/backtests?{shown}&sort={first}")
    assert said in page.text
    (head,) = [one for one in page.find("th") if one.get("aria-sort")]
    assert head.get("aria-sort") == ("descending" if first.startswith("-") else "ascending")
    assert f"sort={first.strip('-') if first.startswith('-') else '-' + first}" in page.by_id(f"sort-{column}").get(
        "href"
    )


def test_every_order_has_words(admin, listed):
    for sort in SORTS:
        assert len(names(admin.get(f"/backtests?sort={sort}"), listed)) == len(listed)


@pytest.mark.parametrize(
    "sort",
    ["-created_at", "created_at", "strategy", "-start_date", "-sharpe", "sharpe", "max_drawdown_pct", "-trade_count"],
)
def test_pages_by_any_order_meet_every_row_once(admin, engine, users, sort):
    with session_scope(engine) as session:
        for number in range(56):
            row = backtests.create(session, spec=results.spec(), owner_id=users["ada"], source="web")
            if number % 8:
                row.status, row.progress = "completed", 1.0
                for name in METRIC_COLUMNS:
                    setattr(row, name, number % 5 if number % 7 else None)
    seen, address, first = [], f"/backtests?sort={sort}", None
    while address is not None:
        page = admin.get(address)
        ids = re.findall(r'<tr id="backtest-([0-9a-f-]+)"', page.html)
        seen.append(ids)
        first = first or ids
        step = page.by_id("page-older")
        address = None if step is None else step.get("href")
    assert [len(ids) for ids in seen] == [25, 25, 6]
    assert len({one for ids in seen for one in ids}) == 56
    back = admin.get(page.by_id("page-newer").get("href"))
    assert re.findall(r'<tr id="backtest-([0-9a-f-]+)"', back.html) == seen[1]


def test_columns_are_chosen_in_the_address(admin, listed):
    page = admin.get("/backtests?column=fees&column=note&column=sortino")
    heads = ["".join(head.itertext()).strip() for head in page.find("th", scope="col")]
    assert heads == ["", "Strategy", "Sortino", "Fees", "Note"]
    assert page.by_id("sort-fees").get("href").endswith("column=sortino&column=fees&column=note")
    ticked = {box.get("value") for box in page.find("input", name="column", type="checkbox") if "checked" in box.attrib}
    assert ticked == {"fees", "note", "sortino"}
    plain = admin.get("/backtests?column=timeframe")
    assert [cell.text for cell in plain.find("td", class_="muted")] == ["completed"] * 3


def test_every_column_has_cells(admin, listed):
    page = admin.get("/backtests?" + "&".join(f"column={name}" for name in COLUMNS))
    (head,) = page.find("thead")
    row = page.by_id(f"backtest-{listed['sma']}")
    assert len(list(row)) == len(list(head[0])) == len(COLUMNS) + 2
    assert set(DEFAULT_COLUMNS) <= set(COLUMNS)


def test_a_running_row_keeps_the_chosen_columns(admin, engine, users):
    task_id = results.queue(engine, owner_id=users["ada"])
    cell = admin.get("/backtests?column=sharpe&column=fees&strategy=sma_cross").by_id(f"progress-{task_id}")
    assert (cell.get("colspan"), cell.get("hx-get")) == ("2", f"/backtests/{task_id}/row?column=sharpe&column=fees")
    claim = results.start(engine, task_id)
    with session_scope(engine) as session:
        backtests.fail(session, claim, code="no_bars", message="no bars")
    ended = admin.get(cell.get("hx-get"), htmx=True)
    assert [one.get("colspan") for one in ended.find("td") if one.get("colspan")] == ["2"]


def test_the_count_is_capped(admin, engine, users, monkeypatch):
    monkeypatch.setattr("webapp.pages.backtests.COUNTED", 2)
    for _ in range(3):
        results.queue(engine, owner_id=users["ada"])
    assert "2+ · newest first" in admin.get("/backtests").text
    assert "2+ match" in admin.get("/backtests?status=queued").text


def test_what_others_share_is_listed_with_its_owner(trader, engine, listed, users):
    assert "No backtests yet" in trader.get("/backtests").text
    with session_scope(engine) as session:
        session.get(Backtest, listed["sma"]).shared = True
    page = trader.get("/backtests")
    assert names(page, listed) == ["sma"]
    assert "by ada" in page.text
    assert names(trader.get("/backtests?owner=me"), listed) == []
    assert trader.get("/backtests?owner=ada", status=422).error_of("filter-owner")


def test_export_holds_what_matches_in_order(admin, engine, listed, users):
    with session_scope(engine) as session:
        session.get(Backtest, listed["sma"]).note = '=HYPERLINK("http://x")'
    answer = admin.client.get("/backtests/export.csv?sort=-sharpe&tag=trend")
    assert answer.mimetype == "text/csv"
    assert 'filename="backtests.csv"' in answer.headers["Content-Disposition"]
    lines = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True))))
    assert [line["task_id"] for line in lines] == [str(listed["sma"]), str(listed["rsi"])]
    assert lines[0]["note"] == """'=HYPERLINK("http://x")"""
    assert (lines[0]["sharpe"], lines[1]["sharpe"], lines[1]["tags"]) == ("2.0", "-1.0", "trend, btc")
    assert (lines[0]["pinned"], lines[0]["params"]) == ("true", '{"fast": 10, "slow": 30}')
    assert admin.client.get("/backtests/export.csv?status=done").status_code == 422


def test_export_goes_over_many_pages(admin, engine, users):
    with session_scope(engine) as session:
        for _ in range(450):
            backtests.create(session, spec=results.spec(), owner_id=users["ada"], source="web")
    lines = admin.client.get("/backtests/export.csv").get_data(as_text=True).splitlines()
    assert len({line.partition(",")[0] for line in lines[1:]}) == 450


def views(page):
    (menu,) = page.find("details", id="menu-views")
    return {link.text: link.get("href") for link in menu.iter("a")}


def test_views_are_saved_loaded_renamed_and_deleted(admin, trader, listed):
    back = "strategy=sma_cross&sort=-sharpe&column=sharpe"
    answer = admin.post("/backtests/views", {"name": "  best  of sma ", "back": f"{back}&after=x"})
    assert answer.status_code == 303
    page = admin.get(answer.headers["Location"].replace("&after=x", ""))
    assert "Saved as best of sma." in page.text
    assert views(page) == {"best of sma": f"/backtests?{back}"}
    assert names(admin.get(views(page)["best of sma"]), listed) == ["sma"]
    assert views(trader.get("/backtests")) == {}
    (rename,) = [form.get("action") for form in page.find("form") if (form.get("action") or "").endswith("/rename")]
    assert trader.post(rename, {"name": "mine"}).status_code == 404
    assert admin.post(rename, {"name": "top", "back": ""}, htmx=True).status_code == 200
    assert list(views(admin.get("/backtests"))) == ["top"]
    assert admin.post(rename.replace("rename", "delete"), {"back": ""}).status_code == 303
    assert views(admin.get("/backtests")) == {}


def test_the_same_name_replaces_and_another_persons_view_stays(admin, trader):
    for browser in (admin, trader):
        browser.post("/backtests/views", {"name": "mine", "back": "pinned=true"})
    admin.post("/backtests/views", {"name": "mine", "back": "pinned=false"})
    assert views(admin.get("/backtests")) == {"mine": "/backtests?pinned=false"}
    assert views(trader.get("/backtests")) == {"mine": "/backtests?pinned=true"}


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "a\x07b", "\u202egnp.exe"])
def test_a_name_that_cannot_be_kept_is_refused_beside_the_field(admin, name):
    answer = admin.post("/backtests/views", {"name": name, "back": "pinned=true"}, htmx=True)
    assert answer.status_code == 422
    assert "allowed: 1 to 80" in answer.get_data(as_text=True)
    assert views(admin.get("/backtests")) == {}


def test_a_view_cannot_take_the_name_of_another(admin):
    for name in ("one", "two"):
        admin.post("/backtests/views", {"name": name, "back": ""})
    page = admin.get("/backtests")
    rename = next(form.get("action") for form in page.find("form") if (form.get("action") or "").endswith("/rename"))
    answer = admin.post(rename, {"name": "two", "back": ""}, htmx=True)
    assert answer.status_code == 422
    assert "no other view of yours has" in answer.get_data(as_text=True)
    assert list(views(admin.get("/backtests"))) == ["one", "two"]


def test_a_name_is_shown_and_never_run(admin):
    admin.post("/backtests/views", {"name": "<script>alert(1)</script>", "back": ""})
    page = admin.get("/backtests")
    assert list(views(page)) == ["<script>alert(1)</script>"]
    assert not [script for script in page.find("script") if not script.get("src")]


def test_hostile_addresses_are_only_strange(admin):
    for query in ("sort=%00", "strategy=%3Cscript%3E", "text=%25_%27--", "symbol=" + "A-B," * 40, "after=&before=",
                  "column=<b>", "size=-1", "sharpe_min=1e999999", "tag=%F0%9F%92%A9", "owner=%27 OR 1=1"):  # fmt: skip
        answer = admin.client.get(f"/backtests?{query}", follow_redirects=True)
        assert answer.status_code in (200, 422), query
        assert b"<script>" not in answer.data
    assert urlsplit(admin.client.get("/backtests?text=").headers["Location"]).netloc == ""


def test_a_cursor_that_is_gone_still_gives_a_page(admin, listed):
    older = admin.get("/backtests")
    assert older.by_id("page-older") is None
    assert "not valid" in admin.get(f"/backtests?after={uuid.uuid4()}", status=400).text
