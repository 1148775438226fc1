"""What people and programs get when something is wrong."""

from urllib.parse import unquote

import pytest
from sqlalchemy.exc import OperationalError

from webapp.templating import queue_counts


def test_not_found_is_a_page_with_a_way_back(admin):
    page = admin.get("/nowhere", status=404)
    assert "There is nothing at this address" in page.text
    assert page.find("a", href="/")


def test_a_fragment_gets_one_line_and_a_header(admin):
    answer = admin.client.get("/strategies/é<b>/fields", headers={"HX-Request": "true"})
    assert answer.status_code == 404
    assert unquote(answer.headers["X-Error"]) == "There is no strategy 'é<b>'."
    assert "<b>" not in answer.get_data(as_text=True)


def test_the_wrong_method_says_which_is_right(admin):
    answer = admin.client.get("/logout")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("address", ["/boom", "/api/boom"])
def test_a_bug_is_no_traceback_for_people(app, admin, address):
    def boom():
        raise RuntimeError("secret inside")

    app.add_url_rule(address, "boom", boom)
    app.testing = False
    answer = admin.client.get(address)
    assert answer.status_code == 500
    assert "secret" not in answer.get_data(as_text=True)
    assert "Something went wrong on our side" in answer.get_data(as_text=True)
    assert answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("address", ["/", "/backtests", "/login", "/api/v1/backtests"])
def test_a_database_that_is_gone_is_said_to_be_gone(app, admin, settings, address):
    path = settings.data_dir / "coin-hts.sqlite3"
    admin.get("/")
    path.rename(path.with_suffix(".away"))
    path.mkdir()
    with app.app_context():
        from webapp.extensions import db

        db.engine.dispose()
    answer = admin.client.get(address)
    assert answer.status_code == 503
    assert "database does not answer" in answer.get_data(as_text=True)
    with app.app_context(), pytest.raises(OperationalError):
        queue_counts()


@pytest.mark.parametrize(
    ("form", "page"),
    [
        ("/account/tokens", "/account"),
        ("/data/fetch", "/data"),
        ("/backtests/selected", "/backtests"),
        ("/operations/storage/preview", "/operations/storage"),
    ],
)
def test_a_reload_after_a_refused_form_leads_to_its_page(admin, form, page):
    answer = admin.client.get(form)
    assert (answer.status_code, answer.location) == (303, page)
