"""`Idempotency-Key`: a request that is sent twice is done once, and both get the same answer."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final
from uuid import UUID

from flask import Response, g, request
from werkzeug.exceptions import HTTPException

from storage_core import idempotency
from storage_core.idempotency import Ticket
from webapp.api.waiting import pauses, seat
from webapp.extensions import db
from webapp.login import person
from webapp.problems import problem

HEADER: Final = "Idempotency-Key"
KEPT_HEADERS: Final = ("Location",)
PATIENCE: Final = 10.0
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")

View = Callable[..., Response]


def repeatable(view: View) -> View:
    """A POST that may carry the header; without it nothing changes."""

    @wraps(view)
    def once(**arguments: Any) -> Response:
        key = request.headers.get(HEADER)
        if key is None:
            return view(**arguments)
        if not _KEY.fullmatch(key):
            allowed = "1 to 255 printable ASCII characters without spaces"
            error = {"field": HEADER, "message": f"{HEADER} cannot be used; allowed: {allowed}.", "allowed": allowed}
            return problem("invalid_request", f"The header {HEADER} cannot be used.", errors=[error])
        ticket = _claimed(key)
        return _work(ticket, view, arguments) if ticket.mine else _repeated(ticket)

    once.__dict__["repeatable"] = True  # for the description
    return once


def reserved_id() -> UUID | None:
    """The id that a backtest made by this request must get, so that a repetition finds it; None = any."""
    ticket: Ticket | None = g.get("ticket")
    return ticket.task_id if ticket is not None else None


def _claimed(key: str) -> Ticket:
    """The key, as soon as it is ours, answered or of another request; waits a while for one who works on it."""
    ticket = _claim(key)
    if not _unclear(ticket):
        return ticket
    with seat() as taken:
        for _ in pauses(PATIENCE if taken else 0):
            ticket = _claim(key)
            if not _unclear(ticket):
                break
    return ticket


def _unclear(ticket: Ticket) -> bool:
    return not ticket.mine and ticket.matches and ticket.answer is None


def _claim(key: str) -> Ticket:
    ticket = idempotency.claim(db.session(), person().id, key, _fingerprint())
    db.session.commit()
    return ticket


def _work(ticket: Ticket, view: View, arguments: Mapping[str, Any]) -> Response:
    g.ticket = ticket
    try:
        response = view(**arguments)
    except HTTPException:
        db.session.rollback()
        _settle(lambda: idempotency.forget(db.session(), ticket))
        raise
    except Exception:
        db.session.rollback()
        _settle(lambda: idempotency.unlock(db.session(), ticket))
        raise
    if response.status_code < 300:
        _settle(lambda: idempotency.remember(db.session(), ticket, _kept(response)))
    else:
        _settle(lambda: idempotency.forget(db.session(), ticket))
    return response


def _settle(write: Callable[[], None]) -> None:
    write()
    db.session.commit()


def _kept(response: Response) -> dict[str, Any]:
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    return {"status": response.status_code, "headers": headers, "body": response.get_data(as_text=True)}


def _repeated(ticket: Ticket) -> Response:
    if not ticket.matches:
        return problem("idempotency_mismatch", f"This {HEADER} was used for another request; use a new one.")
    if ticket.answer is None:
        response = problem("idempotency_running", "The first request with this key is still being worked on.")
        response.headers["Retry-After"] = "1"
        return response
    kept = ticket.answer
    headers = {**kept["headers"], "Idempotency-Replayed": "true"}
    return Response(kept["body"], kept["status"], headers, mimetype="application/json")


def _fingerprint() -> str:
    body = request.get_json(silent=True)
    parts = [request.method, request.path, sorted(request.args.items(multi=True)), body]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
