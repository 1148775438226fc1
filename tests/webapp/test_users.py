"""The page for users, and the links it gives."""

from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from storage_core.db import session_scope
from storage_core.models import AuditEntry, User
from tests.webapp.conftest import PASSWORD, Browser
from tests.webapp.page import Page
from tests.webapp.programs import Program, make_token


def link_in(answer) -> str:
    """The one-time link that an answer shows."""
    page = Page(answer.get_data(as_text=True))
    assert "no-store" in answer.headers["Cache-Control"]
    address = urlsplit(page.by_id("account-link").text)
    return f"{address.path}?{address.query}"


def state(engine, name: str) -> tuple[str, bool]:
    with session_scope(engine) as session:
        user = session.scalars(select(User).where(User.name == name)).one()
        return user.role, user.active


def test_an_invited_person_chooses_a_password_once(app, admin, engine):
    answer = admin.post("/users", {"name": "New", "role": "viewer", "access": "link"})
    assert answer.status_code == 200
    link = link_in(answer)
    assert "invited" in admin.get("/users").text
    browser = Browser(app)
    assert "Welcome, new" in browser.get(link).text
    token = link.partition("token=")[2]
    form = {"token": token, "password": PASSWORD, "repeated": PASSWORD}
    refused = browser.post("/welcome", {**form, "repeated": "different"})
    assert (refused.status_code, PASSWORD in refused.get_data(as_text=True)) == (422, False)
    assert browser.post("/welcome", form).location == "/"
    browser.get("/backtests")
    assert "used already" in Browser(app).get(link, status=403).text
    assert Browser(app).post("/welcome", form).status_code == 403
    assert state(engine, "new") == ("viewer", True)


def test_a_first_password_lets_them_in_at_once(app, admin):
    form = {"name": "new", "role": "trader", "access": "password", "password": PASSWORD}
    answer = admin.post("/users", form)
    assert answer.status_code == 303
    assert Browser(app).post("/login", {"name": "new", "password": PASSWORD}).status_code == 303


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "a b"}, "letters, digits"),
        ({"name": "TOM"}, "no other account"),
        ({"role": "king"}, "viewer, trader, admin"),
        ({"access": "password", "password": "short"}, "8 to 1024"),
    ],
)
def test_a_bad_account_is_refused_beside_the_field(admin, change, words):
    answer = admin.post("/users", {"name": "new", "role": "viewer", "access": "link", **change})
    assert answer.status_code == 422
    page = Page(answer.get_data(as_text=True))
    assert words in " ".join(element.text for element in page.find("span", class_="field-error"))


def test_a_role_counts_from_the_next_click_on(admin, trader, users, engine):
    assert "New backtest" in trader.get("/").text
    assert admin.post(f"/users/{users['tom']}/role", {"role": "viewer"}).status_code == 303
    trader.get("/backtests/new", status=403)
    assert state(engine, "tom") == ("viewer", True)


def test_a_closed_account_is_out_at_once(app, admin, trader, users, engine):
    program = Program(app, make_token(engine, users["tom"]))
    assert program("GET", "/backtests").status_code == 200
    assert admin.post(f"/users/{users['tom']}/deactivate").status_code == 303
    assert trader.client.get("/").status_code == 303
    assert program("GET", "/backtests").status_code == 401
    assert Browser(app).post("/login", {"name": "tom", "password": PASSWORD}).status_code == 422
    assert admin.post(f"/users/{users['tom']}/link").status_code == 422
    assert admin.post(f"/users/{users['tom']}/reactivate").status_code == 303
    assert trader.client.get("/").status_code == 303, "old sessions stay ended"
    assert Browser(app).post("/login", {"name": "tom", "password": PASSWORD}).status_code == 303


def test_the_last_admin_stays(admin, users, engine):
    for address, form in (
        (f"/users/{users['ada']}/deactivate", {}),
        (f"/users/{users['ada']}/role", {"role": "viewer"}),
    ):
        answer = admin.post(address, form)
        assert answer.status_code == 422
        assert "ada is the last admin" in answer.get_data(as_text=True)
    assert state(engine, "ada") == ("admin", True)


def test_a_lost_password_is_replaced_with_a_link(app, admin, trader, users):
    link = link_in(admin.post(f"/users/{users['tom']}/link"))
    trader.get("/")  # making a link ends nothing
    token = link.partition("token=")[2]
    new = "another horse entirely"
    Browser(app).post("/welcome", {"token": token, "password": new, "repeated": new})
    assert trader.client.get("/").status_code == 303, "using it ends the sessions"
    assert Browser(app).post("/login", {"name": "tom", "password": new}).status_code == 303


def test_everything_is_in_the_audit_log(admin, users, engine):
    admin.post("/users", {"name": "new", "role": "viewer", "access": "link"})
    admin.post(f"/users/{users['tom']}/role", {"role": "viewer"})
    admin.post(f"/users/{users['tom']}/deactivate")
    admin.post(f"/users/{users['tom']}/reactivate")
    admin.post(f"/users/{users['tom']}/link")
    admin.post(f"/users/{users['tom']}/role", {"role": "king"})
    with session_scope(engine) as session:
        found = [(entry.action, entry.target) for entry in session.scalars(select(AuditEntry).order_by(AuditEntry.id))]
    assert found == [
        ("user.created", "new"),
        ("user.role_changed", "tom"),
        ("user.deactivated", "tom"),
        ("user.reactivated", "tom"),
        ("user.link_made", "tom"),
    ]
