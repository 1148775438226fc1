"""The language of a page: the account's, else what was chosen before logging in, else what the browser asks for."""

from __future__ import annotations

from typing import Final

from flask import Flask, Response, has_request_context, request, session
from flask_babel import Babel, get_locale, gettext
from flask_login import current_user

LANGUAGES: Final = {"en": "English", "ko": "한국어"}
CHOSEN: Final = "language"
"""The key of the session: what was chosen on a page that needs no account."""
SWITCHES: Final = frozenset({"accounts.login", "accounts.setup", "accounts.welcome", "log_in_again.form"})
API: Final = "/api/"
PAGE_OF_THE_API: Final = "/api/docs"


def language() -> str:
    """The language of the request being answered: en or ko. Programs that call the API read English."""
    if not has_request_context() or _for_programs():
        return "en"
    return getattr(current_user, "language", "") or before_login()


def before_login() -> str:
    """The language as far as it is known without asking who it is: what pages use that must not need the database."""
    if _for_programs():
        return "en"
    chosen = session.get(CHOSEN)
    wanted = (tag.partition("-")[0].lower() for tag, quality in request.accept_languages if quality)
    return chosen if chosen in LANGUAGES else next((one for one in wanted if one in LANGUAGES), "en")


def _for_programs() -> bool:
    return request.path.startswith(API) and request.path != PAGE_OF_THE_API


def remember(chosen: str) -> None:
    """Keep the choice of an account in its session, for pages that do not ask the database; empty: the browser's."""
    if chosen:
        session[CHOSEN] = chosen
    else:
        session.pop(CHOSEN, None)


def current() -> str:
    """The language that texts are being translated into just now."""
    return str(get_locale() or "en")


def translated(text: str) -> str:
    """A text of the engine's tables or of a row, in the language of the page; as it is where that is not known."""
    return gettext(text) if text else ""


def init_app(app: Flask) -> None:
    """Give templates `_()` and `language()`; Python code takes `gettext` from flask_babel."""
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = "translations"
    Babel(app, locale_selector=language)
    app.jinja_env.globals["language"] = language
    app.jinja_env.globals["languages"] = LANGUAGES
    app.jinja_env.filters["translated"] = translated
    app.jinja_env.newstyle_gettext = True  # type: ignore[attr-defined]
    app.before_request(_choose)
    app.after_request(_say_so)


def _choose() -> None:
    """Keep the choice of somebody who is not logged in yet."""
    if request.endpoint in SWITCHES and request.args.get("lang") in LANGUAGES:
        session[CHOSEN] = request.args["lang"]


def _say_so(response: Response) -> Response:
    if response.mimetype == "text/html":
        if "Content-Language" not in response.headers:
            # When something on our side is broken, that may be the database, which knows who asks.
            response.headers["Content-Language"] = current() if response.status_code < 500 else before_login()
        response.vary.update(("Accept-Language", "Cookie"))
    return response
