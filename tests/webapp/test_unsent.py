"""A form whose session has ended on the way: carried through the log-in, then sent by one click of its owner."""

import pytest

from tests.webapp.conftest import PASSWORD, Browser
from tests.webapp.page import read
from webapp.unsent import Unsent, unpacked

OURS = {"Origin": "http://localhost", "Referer": "http://localhost/schedules/new?of=1"}
FORM = {"csrf_token": "of a session that is over", "name": "매일 <밤>", "every": "day", "spec": "a\nb"}


def hidden(page) -> dict[str, str]:
    return {one.get("name"): one.get("value") for one in page.find("input", type="hidden")}


def send(browser: Browser, address: str, form, **headers: str):
    return browser.client.post(address, data=form, headers={**OURS, **headers})


def test_what_was_typed_waits_for_the_log_in_and_is_sent_by_a_click(visitor, users):
    answer = send(visitor, "/schedules", FORM)
    assert answer.status_code == 401
    page = read(answer, visitor.app)
    assert "nothing has been sent yet" in page.text
    assert page.by_id("name").get("value") == "", "the name of the schedule is not that of the account"
    form = {**hidden(page), "name": "tom", "password": "wrong"}
    page = read(send(visitor, "/login", form), visitor.app)
    assert "The name or the password is wrong." in page.text
    answer = send(visitor, "/login", {**hidden(page), "name": "tom", "password": PASSWORD})
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    page = read(answer, visitor.app)
    assert page.find("form", action="/schedules")
    assert [one.get("href") for one in page.find("a") if one.text == "Give it up"] == ["/schedules/new?of=1"]
    sent = hidden(page)
    assert {name: sent[name] for name in FORM if name != "csrf_token"} == {
        name: value for name, value in FORM.items() if name != "csrf_token"
    }
    assert PASSWORD not in page.html
    assert send(visitor, "/schedules", sent).status_code not in (400, 401), "the token is that of the new session"


def test_after_a_log_in_elsewhere_it_is_sent_by_a_click(trader, engine):
    answer = send(trader, "/backtests", {**FORM, "strategy": "sma_cross"})
    assert answer.status_code == 400
    page = read(answer, trader.app)
    assert "as tom" in page.text
    answer = send(trader, "/backtests", hidden(page))
    assert answer.status_code == 422
    assert "Nothing has been submitted" in read(answer, trader.app).text


@pytest.mark.parametrize(
    "change",
    [
        {"headers": {"Origin": "https://evil.example"}},
        {"headers": {"Origin": "null"}},
        {"form": {"password": "secret"}},
        {"form": {"new_password": "secret"}},
        {"address": "/logout"},
        {"address": "/nowhere"},
    ],
    ids=str,
)
def test_what_is_not_carried(visitor, trader, change):
    """Forms of other sites, secrets, and what is about the session itself."""
    address, form = change.get("address", "/schedules"), {**FORM, **change.get("form", {})}
    assert send(visitor, address, form, **change.get("headers", {})).status_code == 303
    answer = send(trader, address, form, **change.get("headers", {}))
    assert answer.status_code in (400, 404)
    assert b"Send it now" not in answer.data


def test_a_form_with_a_file_leads_back_to_its_page(visitor):
    import io

    form = {"symbol": "KRW-BTC", "file": (io.BytesIO(b"x"), "bars.csv")}
    answer = send(visitor, "/data/uploads", form, Referer="http://localhost/data")
    assert (answer.status_code, answer.location) == (303, "/login?next=/data")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "[1,2,3]", '["/backtests", "/", [["a"]]]', '["//evil.example", "/", []]',
             '["/logout", "/", []]', '["/healthz", "/", []]', '["/nowhere", "/", []]', "[" * 5_000]
)  # fmt: skip
def test_what_comes_back_from_outside_is_looked_at(text, app):
    with app.test_request_context():
        assert unpacked(text) is None


def test_what_is_packed_comes_back(app):
    unsent = Unsent("/schedules?x=1", "/schedules/new", [("name", "매일"), ("name", ""), ("note", "a\nb")])
    with app.test_request_context():
        assert unpacked(unsent.packed()) == unsent
        assert unsent.filled == [("name", "매일"), ("note", "a\nb")]


def test_a_page_of_the_log_in_that_is_too_old_is_drawn_anew(visitor, users):
    old = {"csrf_token": "old", "name": "tom", "password": PASSWORD, "next": "/data"}
    answer = send(visitor, "/login", old)
    assert answer.status_code == 400
    page = read(answer, visitor.app)
    assert "too old" in page.text
    assert page.by_id("name").get("value") == "tom"
    answer = send(visitor, "/login", {**old, **hidden(page)})
    assert (answer.status_code, answer.location) == (303, "/data")
    assert send(visitor, "/login", old).location == "/data", "another tab has logged in"


def test_a_fragment_leaves_the_page_as_it_is(visitor, trader):
    for browser, status in ((visitor, 401), (trader, 400)):
        answer = send(browser, "/backtests", FORM, **{"HX-Request": "true"})
        assert (answer.status_code, answer.headers["X-Login"]) == (status, "again")
        assert "HX-Redirect" not in answer.headers


def test_on_top_of_a_korean_page_it_speaks_korean(visitor, admin):
    assert admin.get("/backtests").by_id("login-again").get("data-src") == "/login/again?lang=en"
    page = visitor.get("/login/again?lang=ko", htmx=True)
    assert "로그인" in page.text
    answer = send(visitor, "/login/again", {**hidden(page), "name": "ada", "password": "wrong"})
    assert "로그인" in read(answer, visitor.app).text


def test_on_top_of_the_page(visitor, users):
    page = visitor.get("/login/again?name=tom", htmx=True)
    assert page.by_id("again-name").get("value") == "tom"
    answer = send(visitor, "/login/again", {**hidden(page), "name": "tom", "password": "wrong"})
    assert (answer.status_code, answer.headers["Cache-Control"]) == (422, "no-store")
    answer = send(visitor, "/login/again", {**hidden(page), "name": "tom", "password": PASSWORD})
    assert answer.status_code == 204
    told = answer.headers["HX-Trigger"]
    assert f'"account": "{users["tom"]}"' in told
    assert visitor.token().split(".")[0] in told
    assert visitor.client.get("/login/again").headers["HX-Trigger"].count("logged-in") == 1
