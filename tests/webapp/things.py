"""Everything that an address can name, made in the name of its owner, and browsers of the people who ask for it."""

from datetime import timedelta
from uuid import UUID, uuid4

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from storage_core import api_tokens
from storage_core.backtest_keeping import delete
from storage_core.db import session_scope, utc_now
from storage_core.models import SavedView, Schedule, User
from storage_core.settings import Settings
from tests.webapp import results
from tests.webapp.access_table import Line

ROLES = {"stranger": "trader", "viewer": "viewer", "owner": "trader", "admin": "admin"}
FILL = {
    "part": "range",
    "name": "sma_cross",
    "filename": "css/app.css",
    "backup": "nothing",
    "symbol": "KRW-BTC",
    "timeframe": "1h",
}


class Things:
    """Makes what an address names, each in the name of its owner."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine, self.settings = engine, settings
        self._completed: dict[int, UUID] = {}

    def make(self, kind: str, owner_id: int, *, fresh: bool) -> object:
        """Its number. What is only looked at is made once."""
        if kind == "completed":
            if fresh or owner_id not in self._completed:
                self._completed[owner_id] = results.complete(
                    self.engine, self.settings, owner_id=owner_id, count=120, trades=5
                )
            return self._completed[owner_id]
        return getattr(self, kind)(owner_id)

    def queued(self, owner_id: int) -> UUID:
        return results.queue(self.engine, owner_id=owner_id)

    def deleted(self, owner_id: int) -> UUID:
        task_id = results.complete(self.engine, self.settings, owner_id=owner_id, count=120, trades=5)
        with session_scope(self.engine) as session:
            delete(session, task_id, by="test")
        return task_id

    def token(self, owner_id: int) -> int:
        with session_scope(self.engine) as session:
            return api_tokens.create(session, owner_id=owner_id, name="x", scope="read")[0].id

    def view(self, owner_id: int) -> int:
        return self._row(SavedView(owner_id=owner_id, name=uuid4().hex, query=""))

    def schedule(self, owner_id: int) -> int:
        tonight = utc_now() + timedelta(hours=3)
        row = Schedule(owner_id=owner_id, name="x", spec=results.spec(), every="day", next_run_at=tonight)
        return self._row(row)

    def user(self, owner_id: int) -> int:
        """An account that nobody here is logged in to."""
        return self._row(User(name=f"u{uuid4().hex[:8]}", password_hash="x"))

    def _row(self, row: SavedView | Schedule | User) -> int:
        with session_scope(self.engine) as session:
            session.add(row)
            session.flush()
            return row.id


def client_of(app: Flask, who: str, engine: Engine, ids: dict[str, int]) -> FlaskClient:
    """A fresh browser, logged in as this person."""
    client = app.test_client()
    if who != "anonymous":
        with session_scope(engine) as session:
            count = session.get_one(User, ids[who]).sessions
        with client.session_transaction() as session:
            session["_user_id"] = f"{ids[who]}.{count}"
    return client


def address_of(app: Flask, rule: str, line: Line, identity: object) -> str:
    """The address with what the line names in it; ids of other things are those of nothing."""
    found = next(one for one in app.url_map.iter_rules() if one.rule == rule)
    values = {}
    for name in found.arguments:
        if name in FILL:
            values[name] = FILL[name]
        elif line.of:
            values[name] = identity
        else:
            values[name] = UUID(int=7) if name in ("task_id", "job_id", "upload_id") else 7
    path = app.url_map.bind("localhost").build(found.endpoint, values)
    return f"{path}?{line.query.replace('{id}', str(identity))}" if line.query else path
