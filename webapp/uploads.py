"""Routes that take files: each says how large they may be, before anything reads the body."""

from __future__ import annotations

from typing import Final

from flask import Flask, request

from storage_core.bar_upload_files import LARGEST

FORM_ROUTES: Final = frozenset({"data_upload.upload"})
RAW_ROUTES: Final = frozenset({"api.upload_data"})
FORM_EXTRA: Final = 100_000
"""Bytes of a form around its file."""


def init_app(app: Flask) -> None:
    """Before the login's check of the form, which would read it with the small limit of every other route."""

    @app.before_request
    def allow_files() -> None:
        if request.endpoint in FORM_ROUTES:
            request.max_content_length = LARGEST + FORM_EXTRA
        elif request.endpoint in RAW_ROUTES:
            request.max_content_length = LARGEST
