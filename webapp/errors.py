"""Error answers: a page for people, a problem (RFC 9457) for programs, one line for a fragment."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, current_app, make_response, render_template, request
from flask_babel import force_locale, lazy_gettext
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError
from markupsafe import escape
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException

from storage_core.bar_errors import BarsBusy
from storage_core.errors import AccountNotFound, BacktestNotFound, BadCursor, JobNotFound, ResultDamaged, ResultMissing
from storage_core.object_errors import ObjectError
from webapp.htmx import go_to, is_htmx, wants_login
from webapp.language import before_login, current
from webapp.phrases import said, sentence
from webapp.problems import KINDS, problem, usual_code
from workers.errors import BrokerDown

MACHINE_PATHS = ("/api/", "/charts/")
PAGE_OF_THE_API = "/api/docs"
RETRY_SECONDS = "15"
PRINTABLE = " !\"#$&'()*+,-./:;<=>?@[]^_`{|}~"
"""What stands as it is in the header that app.js decodes; the rest of a sentence is percent-encoded UTF-8."""

SENTENCES: Mapping[int, Any] = {
    400: lazy_gettext("The request could not be understood."),
    401: lazy_gettext("Please log in."),
    403: lazy_gettext("Your account may not do this."),
    404: lazy_gettext("There is nothing at this address, or it belongs to somebody else."),
    405: lazy_gettext("This address does not work this way."),
    413: lazy_gettext("What was sent is too large."),
    415: lazy_gettext("The body must be JSON, with the header Content-Type: application/json."),
    429: lazy_gettext("Too many attempts. Wait a minute and try again."),
    500: lazy_gettext("Something went wrong on our side. It has been written to the log."),
    503: lazy_gettext("The database does not answer right now. Try again in a moment."),
}
TITLES: Mapping[int, Any] = {
    400: lazy_gettext("Not understood"),
    401: lazy_gettext("Not logged in"),
    403: lazy_gettext("Not allowed"),
    404: lazy_gettext("Not found"),
    405: lazy_gettext("Not this way"),
    409: lazy_gettext("Not possible now"),
    413: lazy_gettext("Too large"),
    422: lazy_gettext("Cannot be done like this"),
    429: lazy_gettext("Too many attempts"),
    500: lazy_gettext("Something went wrong"),
    503: lazy_gettext("Not available right now"),
}


def init_app(app: Flask) -> None:
    """Turn every exception into an answer of the right kind."""
    app.register_error_handler(HTTPException, _on_http)
    app.register_error_handler(CSRFError, _on_csrf)
    app.register_error_handler(AccountNotFound, lambda error: answer(404))
    app.register_error_handler(JobNotFound, lambda error: answer(404))
    app.register_error_handler(BarsBusy, lambda error: answer(409, sentence(str(error)), "bars_busy"))
    app.register_error_handler(BacktestNotFound, lambda error: answer(404))
    app.register_error_handler(BadCursor, lambda error: answer(400, sentence(str(error)), "bad_cursor"))
    app.register_error_handler(ResultMissing, _on_missing)
    app.register_error_handler(ResultDamaged, _on_damaged)
    app.register_error_handler(ObjectError, _on_object_store)
    app.register_error_handler(OperationalError, _on_database)
    app.register_error_handler(BrokerDown, _on_broker)


def for_machine() -> bool:
    """Whether the answer should be JSON."""
    return request.path.startswith(MACHINE_PATHS) and request.path != PAGE_OF_THE_API


def answer(status: int, detail: str | None = None, code: str | None = None) -> Response:
    """An error answer of the kind that the request wants; `code` None = the usual one of the status.

    When something on our side is broken the answer asks nothing of the database: not even whose language it is.
    """
    with force_locale(before_login()) if status >= 500 else nullcontext():
        response = _answer(status, detail, code)
        response.headers["Content-Language"] = current()
    return response


def _answer(status: int, detail: str | None, code: str | None) -> Response:
    detail = detail or str(SENTENCES.get(status, HTTPStatus(status).phrase))
    if for_machine():
        code = code or usual_code(status)
        response = problem(code, detail) if KINDS[code].status == status else problem(code, detail, status=status)
        response.status_code = status
        return response
    response = make_response(_page(status, detail))
    response.status_code = status
    response.headers["X-Error"] = quote(detail, safe=PRINTABLE)
    return response


def _page(status: int, detail: str) -> str:
    words = {"title": str(TITLES.get(status, HTTPStatus(status).phrase)), "detail": detail}
    if is_htmx():
        return str(escape(detail))
    if status >= 500:
        return current_app.jinja_env.get_template("errors/bare.html").render(
            words, language=current(), start=_("Try the start page")
        )  # no context processors
    return render_template("errors/page.html", **words)


def _on_http(error: HTTPException) -> Response:
    if error.response is not None:
        return make_response(error.response)
    status = error.code or 500
    if status == 405 and request.method == "GET" and (page := _page_above(request.path)) is not None:
        return go_to(page)
    response = answer(status, _own_words(error))
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


def _page_above(path: str) -> str | None:
    """The page that a form at `path` belongs to: where a reload leads after the form was refused there."""
    above = path.rpartition("/")[0]
    if for_machine() or is_htmx() or not above:
        return None
    try:
        current_app.create_url_adapter(request).match(above, method="GET")
    except HTTPException:
        return None
    return above


def _own_words(error: HTTPException) -> str | None:
    """The description given to `abort`, and not the library's boilerplate."""
    stock = type(error).description
    return error.description if error.description != stock and error.code != 429 else None


def _on_csrf(_error: CSRFError) -> Response:
    why = _("The form is too old or came from elsewhere: you may have been logged out meanwhile. Reload the page.")
    return wants_login(answer(400, why, "csrf_failed"))


def _on_missing(_error: ResultMissing) -> Response:
    return answer(404, _("The files of this result are gone."), "result_missing")


def _on_damaged(error: ResultDamaged) -> Response:
    return answer(500, _("The stored result cannot be read: %(why)s.", why=said(error.problem)), "result_damaged")


def _on_broker(error: BrokerDown) -> Response:
    current_app.logger.error("queue: %s", error)
    return answer(503, _("The queue server does not answer right now. Try again in a moment."))


def _on_object_store(error: ObjectError) -> Response:
    """Where results are kept does not answer: again later; or it refuses us: somebody has to set it up."""
    current_app.logger.error("object store: %s", error)
    if error.permanent:
        return answer(500, _("The store of the results refuses to give them. It has been written to the log."))
    response = answer(503, _("The store of the results does not answer right now. Try again."), "store_unavailable")
    response.headers["Retry-After"] = RETRY_SECONDS
    return response


def _on_database(error: OperationalError) -> Response:
    current_app.logger.error("database: %s", error)
    return answer(503)
