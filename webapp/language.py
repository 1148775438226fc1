"""The language of a page: the person's choice, else what their browser asks for, else English."""

from __future__ import annotations

from typing import Final

from flask import Flask, has_request_context, request
from flask_babel import Babel
from flask_login import current_user

LANGUAGES: Final = {"en": "English", "ko": "한국어"}


def language() -> str:
    """The language of the request being answered: en or ko."""
    if not has_request_context():
        return "en"
    chosen: str = getattr(current_user, "language", "")
    return chosen or request.accept_languages.best_match(list(LANGUAGES)) or "en"


def init_app(app: Flask) -> None:
    """Give templates `_()` and `language()`; Python code takes `gettext` from flask_babel."""
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = "translations"
    Babel(app, locale_selector=language)
    app.jinja_env.globals["language"] = language
    app.jinja_env.newstyle_gettext = True  # type: ignore[attr-defined]
