"""Every text has its Korean, every page speaks the language of who reads it, and numbers and dates follow."""

import ast
import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from flask_babel import force_locale

from storage_core import backtests
from storage_core.db import session_scope
from storage_core.models import Preset, Schedule, User
from tests.webapp import results
from tests.webapp.conftest import Browser
from tests.webapp.page import Page
from tests.webapp.trouble import trouble
from webapp import filters, phrases, script_words
from webapp.language import LANGUAGES
from webapp.translations import __main__ as tool

KOREAN = re.compile("[가-힣]")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%%")
NOT_WORDS = ("/api/", "/static/", "/charts/", "/healthz", "/readyz", "/metrics")
SPOKEN = ("title", "aria-label", "placeholder", "alt", "data-announce", "hx-confirm")
NOW = datetime(2025, 10, 9, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def korean() -> Catalog:
    with (tool.HERE / "ko" / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale="ko")


def forms(message) -> tuple[list[str], list[str]]:
    """The texts of a message: one, or singular and plural; and their translations."""
    ids = list(message.id) if isinstance(message.id, tuple | list) else [message.id]
    return ids, list(message.string) if isinstance(message.string, tuple | list) else [message.string]


# The catalogue


def test_the_catalogue_has_the_texts_of_today(korean):
    today = {(message.id, message.context) for message in tool.extracted() if message.id}
    stored = {(message.id, message.context) for message in korean if message.id}
    assert stored == today, "run ./dev translations and translate what is new"


def test_every_text_is_translated_for_good(korean):
    assert tool.untranslated(korean) == []
    assert not [message.id for message in korean if message.id and message.fuzzy]


def test_placeholders_are_the_same(korean):
    wrong = []
    for message in korean:
        ids, strings = forms(message)
        wanted = Counter(PLACEHOLDER.findall(ids[-1]))
        wrong += [(ids, text) for text in strings if message.id and set(PLACEHOLDER.findall(text)) != set(wanted)]
    assert wrong == []


def test_sentences_are_in_korean(korean):
    def worth_it(text: str) -> bool:
        return len(re.findall(r"[A-Za-z]{3,}", PLACEHOLDER.sub(" ", text))) >= 3

    sentences = [forms(message) for message in korean if message.id and worth_it(forms(message)[0][-1])]
    assert len(sentences) > 600
    assert [ids for ids, strings in sentences if not all(map(KOREAN.search, strings))] == []


def test_the_pages_read_what_people_edit(korean):
    compiled = (tool.HERE / "ko" / "LC_MESSAGES" / "messages.mo").read_bytes()
    assert compiled == tool.mo_bytes(korean)


def test_no_text_hides_where_the_tool_does_not_look():
    """In an f-string it would never be found, so never be translated."""
    hidden = [
        f"{path.name}:{inner.lineno}"
        for path in (tool.ROOT / "webapp").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.JoinedStr)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) and inner.func.id in tool.KEYWORDS
    ]
    assert hidden == []


# Whose language


def language_of(client, address: str = "/login", **headers: str) -> str:
    answer = client.get(address, headers=headers)
    found = re.search('<html lang="([^"]+)"', answer.get_data(as_text=True))[1]
    assert answer.headers["Content-Language"] == found
    return found


@pytest.mark.parametrize(
    ("asked", "given"),
    [("ko-KR,ko;q=0.9,en;q=0.5", "ko"), ("en-US,ko;q=0.5", "en"), ("fr-FR", "en"), ("", "en"), ("ko", "ko")],
)
def test_the_browser_says_which(visitor, asked, given):
    assert language_of(visitor.client, **{"Accept-Language": asked}) == given


def test_a_choice_before_the_login_is_kept(app, users, visitor):
    assert "로그인" in visitor.get("/login?lang=ko").text
    assert language_of(visitor.client) == "ko"
    visitor.post("/login", {"name": "tom", "password": "correct horse battery"})
    assert language_of(visitor.client, "/account") == "ko"


@pytest.mark.parametrize("lang", ["fr", "KO", "../en", ""])
def test_an_unknown_language_is_ignored(visitor, lang):
    assert language_of(visitor.client, f"/login?lang={lang}") == "en"


def test_only_pages_without_account_take_the_choice_from_the_address(admin):
    assert language_of(admin.client, "/account?lang=ko") == "en"


def test_the_account_says_which_and_the_answer_to_that_is_in_it(admin):
    chosen = {"timezone": "Asia/Seoul", "theme": "auto", "language": "ko"}
    assert admin.post("/account/preferences", chosen).status_code == 303
    page = admin.get("/account", headers={"Accept-Language": "en"})
    assert '<html lang="ko"' in page.html
    assert "저장했습니다" in page.text
    admin.post("/account/preferences", {**chosen, "language": ""})
    assert language_of(admin.client, "/account") == "en"


def test_caches_know_that_pages_differ(admin):
    assert {"Accept-Language", "Cookie"} <= set(admin.client.get("/account").vary)


def test_programs_read_english(trader):
    answer = trader.client.get("/api/v1/backtests/nonsense", headers={"Accept-Language": "ko"})
    assert not KOREAN.search(answer.get_data(as_text=True))
    assert not KOREAN.search(trader.client.get("/api/v1/strategies", headers={"Accept-Language": "ko"}).text)


def test_chart_data_has_no_words_of_a_language(speaker, engine, users, completed):
    address = completed(count=3_000, trades=60).replace("/backtests/", "/charts/")
    in_korean = speaker.client.get(f"{address}/equity.json")
    with session_scope(engine) as session:
        session.get(User, users["ada"]).language = "en"
    in_english = speaker.client.get(f"{address}/equity.json")
    assert in_korean.status_code == in_english.status_code == 200
    assert in_korean.get_data() == in_english.get_data()
    assert in_korean.headers["ETag"] == in_english.headers["ETag"]


def test_a_broken_database_is_told_in_korean_without_asking_it(speaker, engine):
    speaker.get("/account")
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE users")
    answer = speaker.client.get("/account", headers={"Accept-Language": "ko"})
    assert answer.status_code == 503
    assert "지금 데이터베이스가 응답하지 않습니다" in answer.text
    assert '<html lang="ko">' in answer.text


def test_what_went_wrong_reaches_a_fragment_in_korean(speaker):
    answer = speaker.client.get("/strategies/nothing/fields", headers={"HX-Request": "true"})
    assert answer.status_code == 404
    assert answer.headers["X-Error"].isascii()
    assert KOREAN.search(answer.text)


# Every page in Korean


@pytest.fixture
def speaker(app, engine, users) -> Browser:
    """ada, who reads Korean."""
    with session_scope(engine) as session:
        session.get(User, users["ada"]).language = "ko"
    return Browser(app).log_in(users["ada"])


@pytest.fixture
def lived_in(engine, users, completed, bars) -> list[str]:
    """A place where something of everything has happened; addresses that nothing leads to."""
    ada = users["ada"]
    done = completed(count=3_000, trades=60, symbols=["KRW-BTC", "KRW-ETH"])
    other = completed(strategy="rsi_reversion", params={})
    failed, running = results.queue(engine, owner_id=ada), results.queue(engine, owner_id=ada)
    claim = results.start(engine, failed)
    with session_scope(engine) as session:
        backtests.fail(
            session, claim, code="worker_lost", message="no bars for KRW-BTC 1h; available: no bars at all yet"
        )
        session.add(
            Schedule(owner_id=ada, name="야간", spec=results.spec(), every="day", next_run_at=NOW + timedelta(days=1))
        )
        session.add(Preset(owner_id=ada, name="빠르게", strategy="sma_cross", fields=results.spec(), shared=True))
    results.start(engine, running)
    trouble(engine, ada, done)
    ids = ",".join(one.rpartition("/")[2] for one in (done, other))
    return [done, other, f"/backtests/{failed}", f"/backtests/{running}", f"/compare?ids={ids}", "/compare",
            "/backtests?sharpe_min=x&symbol=NONE", f"{done}/report.html", "/backtests?status=failed"]  # fmt: skip


def test_every_page_in_korean(speaker, lived_in, korean):
    known = english_sentences(korean)
    assert len(known) > 500
    seen, foreign = {}, {}
    for address, page in pages(speaker, ["/", *lived_in]):
        assert '<html lang="ko"' in page.html, address
        visible = text_of(page)
        seen[address] = [text for text in known if text in visible]
        foreign |= {text: address for text in pieces(page) if ENGLISH.search(text)}
    assert len(seen) > 30
    assert {address: found for address, found in seen.items() if found} == {}
    assert foreign == {}, "no catalogue has these: say them with _(), or add them to webapp/phrases.py"


ENGLISH = re.compile(r"(?:\b[A-Za-z][a-z']*\b[ ,]+){2,}\b[a-z']{2,}\b")
"""Three words in a row, whatever they say."""


def pieces(page: Page) -> set[str]:
    """Every piece of text that stands by itself on a page: in an element, after one, or in an attribute."""
    found = {value for element in page.elements for name, value in element.attrib.items() if name in SPOKEN}
    for element in page.root.iter():
        inside = element.text if element.tag not in ("pre", "code", "script", "style") else ""
        found |= {inside or "", element.tail or ""}
    return {" ".join(text.split()) for text in found}


def english_sentences(korean: Catalog) -> list[str]:
    """The longest piece of each text that has three words or more and another translation."""
    found = set()
    for message in korean:
        ids, strings = forms(message)
        for text in ids if message.id and ids != strings else ():
            piece = max((part.strip() for part in PLACEHOLDER.split(text)), key=len)
            if len(re.findall(r"[A-Za-z]{2,}", piece)) >= 3:
                found.add(piece)
    return sorted(found)


def text_of(page: Page) -> str:
    """What a person reads or hears, without what stands as it was written: code, logs, addresses."""
    for parent in list(page.root.iter()):
        for child in list(parent):
            if child.tag in ("pre", "code", "script", "style"):
                parent.remove(child)
    spoken = [value for element in page.elements for name, value in element.attrib.items()
              if name in SPOKEN]  # fmt: skip
    return " ".join([page.text, *spoken])


def pages(browser: Browser, begin: list[str]):
    """Pages that links lead to, at most three of a kind; those of programs left out."""
    kinds: Counter[str] = Counter()
    waiting, known = list(begin), set(begin)
    adapter = browser.app.url_map.bind("localhost")
    while waiting:
        address = waiting.pop(0)
        answer = browser.client.get(address)
        if answer.mimetype != "text/html" or answer.status_code not in (200, 422):
            continue
        html = answer.get_data(as_text=True)
        page = Page(html)
        yield address, page
        links = [element.get("href") or "" for element in page.find("a") if not element.get("download")]
        for link in (one.partition("#")[0] for one in links):
            if not link.startswith("/") or link.startswith(NOT_WORDS) or link in known:
                continue
            endpoint = adapter.match(urlsplit(link).path, method="GET")[0]
            kinds[endpoint] += 1
            if kinds[endpoint] <= 3:
                known.add(link)
                waiting.append(link)


@pytest.mark.parametrize(
    "values", [{"costs.fee_rate": "60"}, {"params.fast": "1.5"}, {"start_date": "x"}, {"symbols": ""}]
)
def test_what_is_wrong_stands_beside_the_field_in_korean(speaker, bars, values):
    filled = {"strategy": "sma_cross", "fields_of": "sma_cross", "timeframe": "1h", "symbols": "KRW-BTC",
              "start_date": "2024-01-01", "end_date": "2024-01-10"}  # fmt: skip
    answer = speaker.post("/backtests/check", {**filled, **values})
    errors = answer.get_json()
    assert errors
    for sentence in errors.values():
        assert KOREAN.search(sentence), sentence
        assert not re.search(r"\b(allowed|number|from|one of|such)\b", sentence), sentence


# Numbers and dates


@pytest.fixture
def in_korean(app):
    with app.test_request_context("/"), force_locale("ko"):
        yield


@pytest.mark.parametrize(
    ("value", "text"),
    [(14_187_215, "1,419만"), (860_212, "86.02만"), (-2_500_000_000, "-25.00억"), (1e13, "10.00조"),
     (999_999, "100.00만"), (99_999_999, "1.00억"), (10_772.57, "10,772.57"), (None, "–")],
)  # fmt: skip
def test_large_numbers_count_in_ten_thousands(in_korean, value, text):
    assert filters.compact(value) == text


def test_dates_and_durations(in_korean):
    assert filters.day("2024-10-16") == "2024년 10월 16일"
    assert filters.day_of_month(NOW) == "10월 9일"
    assert filters.month_of_year(NOW) == "2025년 10월"
    assert filters.moment(NOW, "Asia/Seoul") == "2025-10-09 21:00"
    assert [filters.duration(one) for one in (0.213, 95, 7260, 200_000)] == [
        "0.21초",
        "1분 35초",
        "2시간 1분",
        "2일 7시간",
    ]
    ages = [filters.ago(NOW - timedelta(seconds=one), NOW) for one in (3, 30, 420, 7200, 300_000)]
    assert ages == ["방금", "30초 전", "7분 전", "2시간 전", "3일 전"]


# Sentences from below, and those of scripts


@pytest.mark.parametrize(
    ("text", "korean_text"),
    [("running", "실행 중"), ("a whole number from 1 to 500", "1부터 500까지의 정수"),
     ("a number above 0 and up to 0.5, or nothing", "0보다 크고 0.5 이하인 숫자 또는 비움"),
     ("KRW-BTC 1h from 2024-01-01 to 2024-02-01", "KRW-BTC 1h 2024-01-01 ~ 2024-02-01"),
     ("it went from bad to worse", "it went from bad to worse"), ("", "")],
)  # fmt: skip
def test_sentences_from_below_are_recognised(in_korean, text, korean_text):
    assert phrases.said(text) == korean_text


def test_english_says_them_as_they_are(app):
    with app.test_request_context("/"):
        assert phrases.said("a whole number from 1 to 500") == "a whole number from 1 to 500"
        assert phrases.sentence("no space left") == "No space left."


def test_scripts_find_their_words_on_the_page(speaker, app):
    page = speaker.get("/account")
    body = next(element for element in page.elements if element.tag == "body")
    assert json.loads(body.get("data-words"))["The chart cannot be drawn."] == "차트를 그릴 수 없습니다."
    with app.test_request_context("/"):
        assert script_words.script_words() == {}
    called = set()
    for script in (tool.ROOT / "static" / "js").glob("*.js"):
        called |= set(re.findall(r'\bsay\(\s*"([^"]+)"', script.read_text()))
    assert called <= set(script_words.TEXTS)
    assert list(LANGUAGES) == ["en", *tool.LANGUAGES]
