"""Every route asks who is there: anonymous, a stranger, a viewer, the owner and an admin get what the table says.

A route without a line in tests/webapp/access_table.py fails here; that file says how to write one.
"""

import pytest
from flask import Flask

from tests.webapp.access_table import PEOPLE, TABLE, Line
from tests.webapp.things import address_of, client_of

API = "/api/v1/"


def test_every_route_has_a_line(app: Flask):
    routes = {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        if not rule.rule.startswith(API)
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    missing, gone = sorted(routes - set(TABLE)), sorted(set(TABLE) - routes)
    assert (missing, gone) == ([], []), "tests/webapp/access_table.py says how to write a line"


@pytest.mark.parametrize("route", TABLE)
def test_who_gets_what(route, shared_app, shared_engine, shared_settings, ids, things):
    method, _, rule = route.partition(" ")
    line = TABLE[route]
    for who in PEOPLE:
        owner = ids["viewer"] if who == "viewer" else ids["owner"]
        identity = things.make(line.of, owner, fresh=method != "GET") if line.of else None
        address = address_of(shared_app, rule, line, identity)
        form = {name: value.replace("{id}", str(identity)) for name, value in line.form.items()}
        client = client_of(shared_app, who, shared_engine, ids)
        if method != "GET":
            page = client.get("/account" if who != "anonymous" else "/login").get_data(as_text=True)
            form["csrf_token"] = page.split('name="csrf-token" content="')[1].split('"')[0]
        with client.open(address, method=method, data=form or None) as answer:
            said = answer.get_data(as_text=True)[:300] if answer.mimetype != "application/zip" else ""
            assert answer.status_code == line.answers[who], (who, address, answer.location, said)
        if who == "anonymous" and line.kind != "open" and answer.status_code == 303:
            assert answer.location.startswith("/login"), address


@pytest.mark.parametrize("route", [route for route in TABLE if not route.startswith("GET")])
def test_every_change_wants_the_csrf_token(route, shared_app, shared_engine, ids):
    method, _, rule = route.partition(" ")
    client = client_of(shared_app, "admin", shared_engine, ids)
    answer = client.open(address_of(shared_app, rule, Line("", {}), None), method=method, data={"name": "x"})
    assert answer.status_code == 400
    assert "too old or came from elsewhere" in answer.get_data(as_text=True)
