"""Hostile values in every parameter of every page: no error of ours, no script, no header, no way out.

Each page gets some of the values, and all pages together all of them; HOSTILE_ALL=1 gives all of them to each page.
"""

import os
import re
import socket
from pathlib import Path
from urllib.parse import quote
from zlib import crc32

import pytest
from flask.testing import FlaskClient

from tests.webapp.access_table import TABLE
from tests.webapp.things import address_of, client_of

WEBAPP = Path(__file__).parents[2] / "webapp"
TEMPLATES = WEBAPP.parent / "templates"
HOSTILE = {
    "traversal": "../../../../etc/passwd",
    "encoded traversal": "..%2f..%2fetc%2fpasswd",
    "backslashes": "..\\..\\windows\\win.ini",
    "absolute": "/etc/passwd",
    "zero": "\x00",
    "line break": "x\r\nX-Injected: yes\r\n\r\n<script>alert(1)</script>",
    "script": "\"><script>alert(1)</script><img src=x onerror=alert(1)>'",
    "template": "{{ 7*7 }}{% raw %}${7*7}",
    "sql": "' OR 1=1; DROP TABLE users; --",
    "digits": "9" * 5000,
    "other digits": "١２",
    "negative": "-1",
    "not a number": "NaN",
    "endless": "1e999",
    "reversed": "\u202eexe.txt\ufeff",
    "address": "http://169.254.169.254/latest/meta-data/",
    "list": ",".join(["00000000-0000-0000-0000-000000000007"] * 2000),
    "pattern": "(a+)+$" * 20 + "%_*[",
    "date": "0000-00-00",
    "far": "9999-12-31",
    "emoji": "🪙" * 500,
}
LEADS_OUT = ("//evil.example/x", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/\tevil.example")
NAMES = re.compile(r"""(?:args|form|values)\s*\.\s*(?:get|getlist)\(\s*["']([a-z_A-Z.]+)["']""")
FIELDS = re.compile(r"""\bname="([a-z_A-Z.]+)\"""")
MORE = ("next", "back", "sort", "columns", "size", "after", "before", "page", "symbol", "ids", "id", "q")
ENDING = {"POST /logout", "POST /account/sessions/end", "POST /account/password"}
"""What ends the session that the next request needs."""
FINE = {200, 204, 303, 308, 400, 403, 404, 405, 409, 413, 422, 429, 503}


def known_names() -> list[str]:
    """Every parameter that the pages read or send."""
    found = set(MORE)
    for path in WEBAPP.rglob("*.py"):
        found |= set(NAMES.findall(path.read_text(encoding="utf-8")))
    for path in TEMPLATES.rglob("*.html"):
        found |= set(FIELDS.findall(path.read_text(encoding="utf-8")))
    return sorted(found - {"csrf_token", "viewport", "description", "color-scheme", "csrf-token", "htmx-config"})


PARAMETERS = known_names()
READING = [route for route in TABLE if route.startswith("GET ")]
CHANGING = [route for route in TABLE if route.startswith("POST ") and TABLE[route].kind != "open"]


@pytest.fixture
def nothing_leads_out(monkeypatch):
    """Whoever wants to open a connection is told so; files and the socket of the queue stay what they are."""
    tried = []

    def refuse(*arguments, **_more):
        tried.append(arguments)
        raise OSError("no way out of this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    yield
    assert tried == []


def check(answer, where) -> None:
    """What no answer may be."""
    assert answer.status_code in FINE, where
    assert "X-Injected" not in answer.headers, where
    assert "evil.example" not in (answer.location or ""), where
    assert "root:x:" not in answer.get_data(as_text=True), where
    if answer.mimetype == "text/html":
        html = answer.get_data(as_text=True)
        assert "<script>alert" not in html, where
        assert "<img src=x" not in html, where
        assert "Traceback" not in html, where
        assert "49${7*7}" not in html, where


def test_the_parameters_are_found():
    assert len(PARAMETERS) > 40
    assert {"name", "password", "next", "note", "tags", "timezone", "strategy", "ids"} <= set(PARAMETERS)


def some(key: str, count: int) -> list[tuple[str, str]]:
    """So many of the hostile values, other ones for every key."""
    values = list(HOSTILE.items())
    if os.environ.get("HOSTILE_ALL"):
        return values
    first = crc32(key.encode()) % len(values)
    return [*values, *values][first : first + count]


@pytest.mark.parametrize("route", READING)
def test_hostile_queries(route, shared_app, shared_engine, ids, things, nothing_leads_out):
    line = TABLE[route]
    identity = things.make(line.of, ids["owner"], fresh=False) if line.of else None
    address = address_of(shared_app, route.partition(" ")[2], line, identity).partition("?")[0]
    client = client_of(shared_app, "admin", shared_engine, ids)
    for what, value in some(route, 3):
        check(client.get(address, query_string=dict.fromkeys(PARAMETERS, value)), (address, what))
    source = view_source(shared_app, route)
    for name in [name for name in PARAMETERS if f'"{name}"' in source]:
        for what, value in some(f"{name} {route}", 1):
            check(client.get(address, query_string={name: value}), (address, name, what))


def view_source(app, route: str) -> str:
    """The text of the module that answers."""
    endpoint = next(rule.endpoint for rule in app.url_map.iter_rules() if rule.rule == route.partition(" ")[2])
    module = app.view_functions[endpoint].__module__
    path = WEBAPP.parent / f"{module.replace('.', '/')}.py"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


@pytest.mark.parametrize("route", CHANGING)
def test_hostile_forms(route, shared_app, shared_engine, ids, things, nothing_leads_out):
    line = TABLE[route]
    identity = things.make(line.of, ids["owner"], fresh=False) if line.of else None
    address = address_of(shared_app, route.partition(" ")[2], line, identity)
    client = None
    for what, value in some(route, 4):
        if client is None or route in ENDING:
            client = client_of(shared_app, "admin", shared_engine, ids)
            token = csrf_token(client)
        form = {**dict.fromkeys(PARAMETERS, value), "csrf_token": token}
        headers = {"HX-Current-URL": value.replace("\r\n", "")}
        check(client.post(address, data=form, headers=headers), (address, what))


def csrf_token(client: FlaskClient) -> str:
    return client.get("/account").get_data(as_text=True).split('name="csrf-token" content="')[1].split('"')[0]


TEXT_IN_PATH = re.compile(r"<(?:path:)?(name|part|symbol|timeframe|filename|backup)>")


@pytest.mark.parametrize("route", [route for route in TABLE if TEXT_IN_PATH.search(route)])
def test_hostile_paths(route, shared_app, shared_engine, ids, nothing_leads_out):
    method, _, rule = route.partition(" ")
    client = client_of(shared_app, "admin", shared_engine, ids)
    token = csrf_token(client)
    plain = re.sub(r"<[^>]*>", "{}", rule)
    for what, value in HOSTILE.items():
        for quoted in (quote(value, safe=""), quote(quote(value, safe=""), safe="")):
            address = plain.replace("{}", quoted)
            answer = client.open(address, method=method, headers={"X-CSRFToken": token})
            assert answer.status_code in {303, 308, 400, 404, 405}, (address, what)
            check(answer, (address, what))


@pytest.mark.parametrize("target", LEADS_OUT)
def test_nothing_leads_away(target, shared_app, shared_engine, ids):
    client = client_of(shared_app, "admin", shared_engine, ids)
    form = {"csrf_token": csrf_token(client), "next": target, "back": target, "name": "x", "do": "pin", "at": "1"}
    for address in ("/backtests/selected", "/backtests/undo", "/backtests/views"):
        answer = client.post(address, data=form, headers={"Referer": target, "HX-Current-URL": target})
        assert answer.status_code in (303, 422), address
        check(answer, address)
    for address in ("/login", "/backtests"):
        answer = client.get(address, query_string={"next": target, "back": target})
        check(answer, address)
    anonymous = shared_app.test_client()
    for ours in ({}, {"Origin": "http://localhost"}):
        answer = anonymous.post("/presets", data={"name": "x"}, headers={"Referer": target, **ours})
        assert (answer.status_code, answer.location) == ((401, None) if ours else (303, "/login"))
        assert "evil.example" not in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    "given", ["short", "x" * 41, "a b c d e f", "é" * 10, "<script>alert(1)</script>", "a\tb\tc\td"]
)
def test_an_id_of_a_request_is_harmless_or_replaced(given, shared_app):
    answer = shared_app.test_client().get("/healthz", headers={"X-Request-ID": given})
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-ID"])


@pytest.mark.parametrize("address", ["/login", "/setup", "/welcome", "/account/tokens", "/backtests", "/users"])
def test_a_form_of_a_megabyte_is_refused(address, shared_app, shared_engine, ids):
    client = client_of(shared_app, "admin", shared_engine, ids)
    headers = {"X-CSRFToken": csrf_token(client)}
    assert client.post(address, data={"name": "x" * 1_100_000}, headers=headers).status_code == 413
    many = "&".join(f"f{number}=1" for number in range(5_000))
    kind = "application/x-www-form-urlencoded"
    assert client.post(address, data=many, content_type=kind, headers=headers).status_code < 500
