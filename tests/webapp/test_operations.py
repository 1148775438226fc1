"""The first part of the operations: who may look, and which tabs there are."""

from webapp.context.operations import TABS, ctx_tabs


def test_traders_and_admins_see_it_and_viewers_do_not(trader, admin, viewer, visitor):
    for browser in (trader, admin):
        page = browser.get("/operations")
        assert [link.get("href") for link in page.find("a", class_="nav-item roomy")] == ["/operations"]
    assert "Ask an admin" in viewer.get("/operations", status=403).text
    assert not viewer.get("/backtests").find("a", href="/operations")
    assert visitor.client.get("/operations").location == "/login?next=/operations"


def test_a_tab_appears_when_its_page_is_there(app):
    with app.test_request_context():
        assert [tab["label"] for tab in ctx_tabs({"operations.page", "operations_audit.page"})] == [
            "Queue",
            "Audit log",
        ]
        assert len(ctx_tabs([endpoint for _, _, endpoint in TABS])) == 5
