"""Programs that call the API with a token."""

from typing import Any

from flask import Flask
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from storage_core import api_tokens, audit
from storage_core.db import session_scope


def make_token(engine: Engine, owner_id: int, scope: str = "write", **more: Any) -> str:
    """The text of a new token."""
    with session_scope(engine) as session:
        return api_tokens.create(session, owner_id=owner_id, name="test", scope=scope, **more)[1]


class Program:
    """A client without cookies."""

    def __init__(self, app: Flask, token: str | None) -> None:
        self.client = app.test_client(use_cookies=False)
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def __call__(self, method: str, address: str, body: Any = None, **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if not address.startswith("/api/"):
            address = f"/api/v1{address}"
        return self.client.open(address, method=method, json=body, headers={**self.headers, **named})


def refused_log_ins(engine: Engine, count: int, *, address: str = "127.0.0.1", target: str = "somebody") -> None:
    """As many refusals a moment ago: hashing a password for each would take its time."""
    with session_scope(engine) as session:
        for _ in range(count):
            audit.record(session, actor=target, action="account.login_failed", target=target, address=address)
