"""A form that arrives without its session: it is carried through the log-in, so that nothing typed is lost.

It travels in the pages themselves, in hidden fields: neither the session nor the browser keeps a copy. After the
log-in the person is asked whether to send it; nothing is ever sent by itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flask import current_app, request
from werkzeug.exceptions import HTTPException

from webapp.addresses import from_our_page, local_path, page_before
from webapp.htmx import is_htmx

CSRF_FIELD: Final = "csrf_token"
SECRETS: Final = ("password", "repeated")
NEVER: Final = ("accounts.", "log_in_again.")
"""Endpoints of these blueprints are about the session itself."""


@dataclass(frozen=True)
class Unsent:
    """Where it was to go, on which page it stood, and what it says."""

    action: str
    page: str
    fields: Sequence[tuple[str, str]]

    @property
    def filled(self) -> Sequence[tuple[str, str]]:
        """The fields that are not empty."""
        return [(name, value) for name, value in self.fields if value.strip()]

    def packed(self) -> str:
        """As the text of one hidden field."""
        return json.dumps([self.action, self.page, self.fields], ensure_ascii=False)


def of_request() -> Unsent | None:
    """The form of this request, when a page of ours sent it and it can be sent again: no files, no secrets."""
    if request.method != "POST" or is_htmx() or not from_our_page() or _has_files():
        return None
    fields = [(name, value) for name, value in request.form.items(multi=True) if name != CSRF_FIELD]
    if any(word in name for name, _value in fields for word in SECRETS):
        return None
    return _known(request.full_path.rstrip("?"), page_before(), fields)


def unpacked(text: str) -> Unsent | None:
    """What `packed` wrote; None for anything else, as the text comes from outside."""
    try:
        action, page, fields = json.loads(text)
        pairs = [(str(name), str(value)) for name, value in fields]
    except (ValueError, TypeError, RecursionError):
        return None
    return _known(str(action), local_path(str(page)), pairs)


def _has_files() -> bool:
    return any(one.filename for one in request.files.values())


def _known(action: str, page: str, fields: Sequence[tuple[str, str]]) -> Unsent | None:
    if local_path(action) != action:
        return None
    try:
        endpoint, _values = current_app.create_url_adapter(request).match(action.partition("?")[0], method="POST")
    except HTTPException:
        return None
    return None if endpoint.startswith(NEVER) else Unsent(action, page, fields)
