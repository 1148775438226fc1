"""Doors that test_route_access.py does not knock at: htmx, what viewers are shown, headers on every answer."""

from uuid import uuid4

import pytest

from tests.webapp import results

WATCHED = ("health.readyz", "telemetry.metrics")  # nothing is behind the queue here, and figures are for admins


def test_htmx_is_told_to_log_in_on_top_of_the_page(visitor):
    headers = {"HX-Request": "true", "HX-Current-URL": "http://localhost/backtests?size=50"}
    answer = visitor.client.get("/backtests/queue", headers=headers)
    assert (answer.status_code, answer.headers["X-Login"]) == (401, "again")
    assert not {"HX-Redirect", "Location"} & set(answer.headers.keys()), "the page and what was typed into it stay"


def test_a_viewer_may_look_and_not_run(viewer, engine, users):
    task_id = results.queue(engine, owner_id=users["vera"])
    assert "New backtest" not in viewer.get("/").text
    page = viewer.get(f"/backtests/{task_id}")
    assert not page.find("form", action=f"/backtests/{task_id}/cancel")
    viewer.get("/backtests/new", status=403)
    assert viewer.post("/backtests", {}).status_code == 403
    assert viewer.post(f"/backtests/{task_id}/cancel").status_code == 403
    assert viewer.json("/api/v1/backtests/async", {}, method="POST").status_code == 403
    assert viewer.json(f"/api/v1/backtests/{task_id}/cancel", method="POST").status_code == 403


TAILS = ("", "/status", "/row", "/chart", "/trades", "/setup")


def test_other_peoples_backtests_do_not_exist(trader, admin, completed, users):
    address = completed()
    for tail in TAILS:
        trader.get(address + tail, status=404)
    task_id = address.rpartition("/")[2]
    assert trader.post(f"{address}/cancel").status_code == 404
    trader.get(f"/backtests/new?clone={task_id}", status=404)
    for machine in (f"/charts/{task_id}/equity.json", f"/charts/{task_id}/candles.json", f"/api/v1/backtests/{task_id}",
                    f"/api/v1/backtests/async/{task_id}/status"):  # fmt: skip
        assert trader.json(machine).status_code == 404, machine
    assert trader.json(f"/api/v1/backtests/{task_id}/cancel", method="POST").status_code == 404
    assert task_id not in trader.get("/backtests").html
    assert trader.json("/api/v1/backtests").json["backtests"] == []
    admin.get(address)


def test_unknown_ids_are_not_found(admin):
    unknown = uuid4()
    places = [f"/backtests/{unknown}{tail}" for tail in TAILS]
    for place in (*places, "/backtests/not-an-id", f"/backtests/new?clone={unknown}", "/backtests/new?clone=nonsense"):
        assert "There is nothing at this address" in admin.get(place, status=404).text


@pytest.mark.parametrize("address", ["/login", "/healthz", "/nowhere", "/api/v1/data", "/static/css/app.css"])
def test_headers_are_on_every_answer(admin, address):
    with admin.client.get(address) as answer:
        headers = answer.headers
    policy = headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
