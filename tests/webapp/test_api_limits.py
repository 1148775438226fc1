"""How often one may call, and from which web sites."""

from dataclasses import replace

import pytest

from tests.services import free_port
from tests.webapp.programs import Program, make_token
from webapp import create_app
from webapp.extensions import db, limiter

SITE = "https://lab.example"


@pytest.fixture
def make_app(settings, users):
    made = []

    def make(**changes):
        app = create_app(replace(settings, **changes))
        made.append(app)
        return app

    yield make
    for app in made:
        with app.app_context():
            limiter.reset()
            db.engine.dispose()
        if "broker" in app.extensions:
            app.extensions["broker"].close()


def test_a_token_may_ask_so_often_and_no_more(make_app, engine, users):
    app = make_app(api_rate_limit="3 per hour")
    first = Program(app, make_token(engine, users["tom"]))
    answers = [first("GET", address) for address in ("/data", "/strategies", "/data")]
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0"]
    assert answers[0].headers["RateLimit-Limit"] == "3"
    assert 3000 < int(answers[0].headers["RateLimit-Reset"]) <= 3600
    refused = first("GET", "/data")
    assert (refused.status_code, refused.json["code"]) == (429, "rate_limited")
    assert 3000 < int(refused.headers["Retry-After"]) <= 3600
    assert Program(app, make_token(engine, users["tom"]))("GET", "/data").status_code == 200, "each token by itself"


def test_guessing_is_limited_too(make_app):
    app = make_app(api_rate_limit="3 per hour")
    answers = [Program(app, "chts_" + f"{n}" * 43)("GET", "/data").status_code for n in range(5)]
    assert answers == [401, 401, 401, 429, 429]


def test_no_limit_when_none_is_set(make_app, engine, users):
    program = Program(make_app(api_rate_limit=None), make_token(engine, users["tom"]))
    answers = [program("GET", "/data") for _ in range(5)]
    assert {answer.status_code for answer in answers} == {200}
    assert "RateLimit-Limit" not in answers[0].headers


def test_while_the_queue_server_is_away_each_process_counts_by_itself(settings, engine, users, monkeypatch):
    monkeypatch.setattr(limiter, "_storage_dead", False)
    app = create_app(replace(settings, redis_url=f"redis://127.0.0.1:{free_port()}/0", api_rate_limit="2 per hour"))
    program = Program(app, make_token(engine, users["tom"]))
    assert [program("GET", "/data").status_code for _ in range(3)] == [200, 200, 429]
    page = app.test_client().post("/login", data={"name": "tom", "password": "not that one"})
    assert page.status_code < 500
    with app.app_context():
        db.engine.dispose()


def preflight(app, origin, path="/api/v1/backtests"):
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return app.test_client().options(path, headers=headers)


def test_no_site_may_call_unless_it_is_named(make_app, engine, users):
    app = make_app()
    answer = Program(app, make_token(engine, users["tom"]))("GET", "/data", Origin=SITE)
    assert answer.status_code == 200
    assert not [name for name in dict(answer.headers) if name.startswith("Access-Control")]
    assert preflight(app, SITE).status_code == 401


def test_a_named_site_may_call_with_a_token_and_never_with_cookies(make_app, engine, users):
    app = make_app(cors_origins=(SITE,))
    asked = preflight(app, SITE)
    assert asked.status_code == 204
    assert asked.headers["Access-Control-Allow-Origin"] == SITE
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in asked.headers
    answer = Program(app, make_token(engine, users["tom"]))("GET", "/data", Origin=SITE)
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    assert "Link" in answer.headers["Access-Control-Expose-Headers"]
    assert "Origin" in answer.headers["Vary"]
    refused = Program(app, None)("GET", "/data", Origin=SITE)
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, SITE)


@pytest.mark.parametrize(
    "origin", ["https://lab.example.evil", "http://lab.example", "https://lab.example:444", "null", "*"]
)
def test_others_may_not(make_app, engine, users, origin):
    app = make_app(cors_origins=(SITE,))
    assert preflight(app, origin).status_code == 401
    answer = Program(app, make_token(engine, users["tom"]))("GET", "/data", Origin=origin)
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert preflight(app, SITE, "/backtests").status_code != 204, "pages are for nobody else"
