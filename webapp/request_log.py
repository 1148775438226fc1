"""Every request by its id: in each line of the log, in the answer, and timed to the last byte that was sent."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from uuid import uuid4

import structlog
from flask import Flask, Response, g, request

HEADER: Final = "X-Request-ID"
SLOW_SECONDS: Final = 1.0
UNKNOWN_ROUTE: Final = "(none)"
LONGEST_PATH: Final = 200

# Asked for every few seconds by machines, or with every page: such a line is worth reading only when it is bad.
QUIET: Final = frozenset({"health.healthz", "health.readyz", "telemetry.metrics", "static", "backtests.queue"})
WAITING: Final = frozenset({"api.run_backtest"})
"""Those that take their time on purpose."""

log = structlog.get_logger("access")

Observe = Callable[[str, str, int, float], None]


def init_app(app: Flask, observe: Observe) -> None:
    """Follow every request; `observe(method, route, status, seconds)` hears of each one that has ended.

    Must come before everything else that looks at requests, so that all of it has the id.
    """

    @app.before_request
    def begin() -> None:
        g.request_id = accepted(request.headers.get(HEADER)) or uuid4().hex
        g.request_began = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)

    @app.after_request
    def answer(response: Response) -> Response:
        response.headers[HEADER] = g.request_id
        response.call_on_close(partial(_ended, observe, _facts(response), g.request_began))
        return response

    @app.teardown_request
    def forget(_error: BaseException | None) -> None:
        structlog.contextvars.clear_contextvars()


def accepted(given: str | None) -> str | None:
    """The id that a proxy or a program has given, when it is harmless in every log and header."""
    return given if given is not None and re.fullmatch(r"[A-Za-z0-9._-]{8,40}", given) else None


def route_of_request() -> str:
    """The pattern of the address, such as /backtests/<uuid:task_id>: there are few, and no secret is in them."""
    return UNKNOWN_ROUTE if request.url_rule is None else request.url_rule.rule


def _facts(response: Response) -> Mapping[str, Any]:
    """What the line says. The query is left out: it may hold a link that lets somebody in."""
    shown = "".join(char if char.isprintable() else "�" for char in request.path[:LONGEST_PATH])
    return {
        "request_id": g.request_id,
        "method": request.method,
        "path": shown,
        "route": route_of_request(),
        "endpoint": request.endpoint,
        "status": response.status_code,
        "bytes": response.content_length,
        "address": request.remote_addr,
    }


def _ended(observe: Observe, facts: Mapping[str, Any], began: float) -> None:
    seconds = time.perf_counter() - began
    observe(facts["method"], facts["route"], facts["status"], seconds)
    said = {name: value for name, value in facts.items() if name != "endpoint" and value is not None}
    slow = seconds > SLOW_SECONDS and facts["endpoint"] not in WAITING
    if slow:
        log.warning("slow request", seconds=round(seconds, 3), **said)
    elif facts["status"] >= 500:
        log.warning("request failed", seconds=round(seconds, 3), **said)
    elif facts["endpoint"] not in QUIET:
        log.info("request", seconds=round(seconds, 3), **said)
