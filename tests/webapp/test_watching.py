"""What machines ask: alive, ready, and the figures; and that every request has an id, a line in the log and a count."""

import json
import logging
import re
from dataclasses import replace

import pytest
import redis
import structlog
from sqlalchemy import text

from storage_core import alerts, backtests, jobs, processes
from storage_core.alerts import Problem
from storage_core.db import make_engine, session_scope, utc_now
from storage_core.migrate import has_newest_schema, is_current
from storage_core.models import BacktestEvent
from storage_core.processes import Sign
from storage_core.readiness import check_database, check_results
from tests.services import running_valkey
from tests.webapp import results
from tests.webapp.programs import make_token
from webapp import create_app, request_log
from webapp.readiness import Remembered
from workers.queue import make_broker
from workers.run_counts import KEY, count_completed, count_failed


@pytest.fixture(scope="module")
def valkey_url():
    with running_valkey() as url:
        yield url


@pytest.fixture
def queue_server(app, settings, valkey_url):
    """The application finds a queue server."""
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()
    app.extensions["settings"] = replace(settings, redis_url=valkey_url)
    app.extensions["broker"] = make_broker(valkey_url)
    return app.extensions["broker"]


def work(engine, kind="worker"):
    now = utc_now()
    with session_scope(engine) as session:
        processes.sign_of_life(session, Sign(name=f"host:{kind}", kind=kind, pid=1, started_at=now), now=now)


def ask(visitor, address, status=200, **headers):
    with visitor.client.get(address, headers=headers) as answer:
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.json if answer.mimetype == "application/json" else answer.get_data(as_text=True)


def figures(text_):
    """Every sample by its name with labels, as it is written."""
    lines = [line for line in text_.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_alive_asks_nobody(visitor):
    assert ask(visitor, "/healthz") == {"status": "alive"}


def test_ready_when_everything_is_there(visitor, engine, queue_server):
    work(engine)
    told = ask(visitor, "/readyz")
    assert told == {"status": "ready", "checks": {name: {"ok": True} for name in told["checks"]}}
    assert set(told["checks"]) == {"database", "queue", "results", "worker"}


def test_not_ready_says_which_part_and_no_more(visitor, app, settings):
    told = ask(visitor, "/readyz", 503)
    assert told["status"] == "not ready"
    assert told["checks"]["queue"] == {"ok": False, "why": "does not answer"}
    assert told["checks"]["worker"] == {"ok": False, "why": "none has given a sign of life"}
    assert str(settings.data_dir) not in json.dumps(told)


def test_ready_is_worked_out_once_in_two_seconds():
    asked = []
    kept = Remembered(60.0)
    assert [kept.get(lambda: asked.append(1) or len(asked)) for _ in range(3)] == [1, 1, 1]
    forgetful = Remembered(0.0)
    assert [forgetful.get(lambda: asked.append(1) or len(asked)) for _ in range(2)] == [2, 3]


def test_a_database_of_another_version_is_not_ready(engine):
    assert has_newest_schema(engine) is is_current(engine) is True
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    assert has_newest_schema(engine) is is_current(engine) is False
    assert check_database(engine).why == "needs: flask db upgrade"


def test_an_empty_database_or_none_is_not_ready(tmp_path):
    empty = make_engine(f"sqlite:///{tmp_path}/empty.sqlite3")
    assert check_database(empty).ok is False
    empty.dispose()
    nobody = make_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    assert check_database(nobody).why == "does not answer"
    nobody.dispose()


def test_a_place_of_results_that_cannot_be_written_is_not_ready(settings, tmp_path):
    assert check_results(settings).ok
    (tmp_path / "file").write_text("in the way")
    assert check_results(replace(settings, results_uri=str(tmp_path / "file"))).why == "cannot be written"


def test_figures_are_for_admins(visitor, admin, trader, engine, users, queue_server):
    assert "WWW-Authenticate" in visitor.client.get("/metrics").headers
    ask(visitor, "/metrics", 401)
    ask(trader, "/metrics", 401)
    ask(admin, "/metrics")
    for name, scope, status in (("ada", "read", 200), ("ada", "admin", 200), ("tom", "write", 401)):
        ask(visitor, "/metrics", status, Authorization=f"Bearer {make_token(engine, users[name], scope)}")
    ask(admin, "/metrics", 401, Authorization="Bearer nonsense")


def test_figures_can_be_opened_by_a_setting(visitor, app, queue_server):
    app.extensions["settings"] = replace(app.extensions["settings"], metrics_access="open")
    assert "coin_hts_ready" in ask(visitor, "/metrics")


def test_figures_tell_what_there_is(admin, engine, users, completed, queue_server):
    completed()
    results.queue(engine, owner_id=users["ada"])
    work(engine)
    with session_scope(engine) as session:
        alerts.raise_(session, "disk:/", kind="disk", problem=Problem("full"))
    count_completed(queue_server, "sma_cross", 0.3)
    count_completed(queue_server, "sma_cross", 99_999.0)
    count_failed(queue_server, "no_bars")
    admin.get("/backtests")
    told = figures(ask(admin, "/metrics"))
    assert told['coin_hts_queued_backtests{lane="short"}'] == 1
    assert told['coin_hts_queue_oldest_seconds{lane="short"}'] >= 0
    assert told['coin_hts_processes{kind="worker"}'] == 1
    assert told['coin_hts_processes{kind="clock"}'] == 0
    assert told['coin_hts_alerts_open{kind="disk"}'] == 1
    assert told['coin_hts_alerts_open{kind="queue"}'] == 0
    assert told['coin_hts_stored_results{stores="parquet"}'] == 1
    assert told["coin_hts_stored_bytes"] > 1000
    assert told['coin_hts_missing_results{side="parquet"}'] == 0
    assert told['coin_hts_ready{check="worker"}'] == 1
    assert told['coin_hts_disk_free_bytes{place="data"}'] > 0
    assert told['coin_hts_backtest_seconds_bucket{le="0.5",strategy="sma_cross"}'] == 1
    assert told['coin_hts_backtest_seconds_bucket{le="3600.0",strategy="sma_cross"}'] == 1
    assert told['coin_hts_backtest_seconds_count{strategy="sma_cross"}'] == 2
    assert told['coin_hts_backtest_seconds_sum{strategy="sma_cross"}'] == pytest.approx(99_999.3)
    assert told['coin_hts_backtests_failed_total{code="no_bars"}'] == 1


def test_requests_are_counted_by_route_not_by_address(admin, completed, queue_server):
    with admin.client.get(completed()):
        pass
    for _ in range(2):
        ask(admin, "/nowhere/at/all", 404)
    told = figures(ask(admin, "/metrics"))
    count = "coin_hts_request_seconds_count"
    assert told[f'{count}{{method="GET",route="/backtests/<uuid:task_id>",status="200"}}'] == 1
    assert told[f'{count}{{method="GET",route="(none)",status="404"}}'] == 2


def test_figures_without_a_queue_server_are_the_others(admin, app):
    told = figures(ask(admin, "/metrics"))
    assert told['coin_hts_ready{check="queue"}'] == 0
    assert "coin_hts_stored_bytes" in told
    assert not [name for name in told if name.startswith("coin_hts_backtest_seconds")]


def test_a_queue_server_that_forgot_begins_at_zero(admin, queue_server):
    count_completed(queue_server, "sma_cross", 1.0)
    queue_server.client.delete(KEY)
    assert not [name for name in figures(ask(admin, "/metrics")) if "sma_cross" in name]


@pytest.mark.parametrize("given", ["deploy-7.blue_1", "0123456789abcdef0123456789abcdef01234567"])
def test_a_harmless_request_id_is_kept(visitor, given):
    assert visitor.client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize(
    "given", [None, "", "short", "a" * 41, "has space", "semi;colon", "<script>", "ümläut123", "a\tbcdefgh"]
)
def test_any_other_is_replaced(visitor, given):
    headers = {} if given is None else {"X-Request-ID": given.encode("utf-8").decode("latin-1")}
    made = visitor.client.get("/healthz", headers=headers).headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{32}", made)


def test_errors_carry_the_id_too(admin):
    for address in ("/nowhere", "/api/v1/nothing"):
        assert admin.client.get(address, headers={"X-Request-ID": "abcdefgh"}).headers["X-Request-ID"] == "abcdefgh"


def test_what_a_request_submits_names_it(trader, engine, bars):
    form = {"strategy": "sma_cross", "symbols": ["KRW-BTC"], "timeframe": "1h",
            "start_date": "2024-01-01", "end_date": "2024-01-20"}  # fmt: skip
    headers = {"X-CSRFToken": trader.token(), "X-Request-ID": "click-on-run-1"}
    answer = trader.client.post("/api/v1/backtests/async", json=form, headers=headers)
    assert answer.status_code == 202, answer.get_data(as_text=True)
    with session_scope(engine) as session:
        claim = backtests.claim_next(session, worker="host:1")
        assert (str(claim.task_id), claim.request_id) == (answer.json["task_id"], "click-on-run-1")
        events = session.query(BacktestEvent).order_by(BacktestEvent.id).all()
        assert [(one.kind, one.detail.get("request_id")) for one in events] == [
            ("submitted", "click-on-run-1"),
            ("claimed", None),
        ]
    assert structlog.contextvars.get_contextvars() == {}


def test_a_job_names_the_request_that_asked_for_it(admin, engine):
    form = {"exchange": "upbit", "symbol": "KRW-BTC", "timeframe": "1h", "start": "2024-01-01", "end": "2024-01-02"}
    headers = {"X-CSRFToken": admin.token(), "X-Request-ID": "click-on-fetch-1"}
    assert admin.client.post("/data/fetch", data=form, headers=headers).status_code == 303
    with session_scope(engine) as session:
        claim = jobs.claim_next(session, worker="host:1")
        assert (claim.kind, claim.request_id) == ("fetch_bars", "click-on-fetch-1")


@pytest.fixture
def lines(monkeypatch):
    """What the log of requests says."""
    said = []

    class Said:
        def __getattr__(self, level):
            return lambda event, **facts: said.append({"level": level, "event": event, **facts})

    monkeypatch.setattr(request_log, "log", Said())
    return said


def test_each_request_is_a_line_without_its_query(visitor, lines):
    ask(visitor, "/login?next=/backtests&secret=42", **{"X-Request-ID": "abcdefgh"})
    (line,) = lines
    assert (line["event"], line["level"], line["status"]) == ("request", "info", 200)
    assert (line["request_id"], line["path"], line["route"]) == ("abcdefgh", "/login", "/login")
    assert "42" not in str({**line, "seconds": 0, "bytes": 0})


def test_what_machines_ask_all_day_is_a_line_only_when_it_is_bad(visitor, lines):
    ask(visitor, "/healthz")
    assert lines == []
    ask(visitor, "/readyz", 503)
    assert [(line["event"], line["level"]) for line in lines] == [("request failed", "warning")]


def test_a_slow_request_is_named(visitor, lines, monkeypatch):
    monkeypatch.setattr(request_log, "SLOW_SECONDS", 0.0)
    ask(visitor, "/healthz")
    assert [(line["event"], line["level"]) for line in lines] == [("slow request", "warning")]


def test_a_path_cannot_forge_a_line(visitor, lines):
    ask(visitor, "/no%0a%1b[31mwhere", 303)
    assert lines[0]["path"] == "/no��[31mwhere"


def test_several_web_processes_are_counted_together(settings, tmp_path, monkeypatch):
    from prometheus_client import generate_latest

    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    counts = create_app(settings).extensions["request_counts"]
    (tmp_path / "ignored.txt").write_text("not a count")
    assert generate_latest(counts.registry()) == b""
    assert logging.getLogger("access").disabled is False
