"""Programs that call the API with a token instead of a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flask import g, request

from storage_core import api_tokens
from webapp.extensions import db
from webapp.people import Person
from webapp.sessions import may_act

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class Caller:
    """A token that is good: whom it speaks for, and how far."""

    token_id: int
    scope: str
    person: Person


def carries_token() -> bool:
    """Whether the request speaks by an Authorization header; a session beside it then counts for nothing."""
    return "Authorization" in request.headers


def caller() -> Caller | None:
    """Who calls by the token of this request; None when there is none, or it is unknown, expired or revoked."""
    if "caller" not in g:
        g.caller = _look_up() if carries_token() else None
    found: Caller | None = g.caller
    return found


def missing_scope(by: Caller) -> str | None:
    """The scope that this request needs and the token has not; None when all is well."""
    wanted = "read" if request.method in READING else "write"
    return None if api_tokens.allows(by.scope, wanted) else wanted


def _look_up() -> Caller | None:
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer":
        return None
    session = db.session()
    found = api_tokens.find(session, text.strip())
    if found is None or not may_act(found[1]):
        return None
    token, user = found
    if api_tokens.note_use(session, token):
        session.commit()
    return Caller(token.id, token.scope, Person.of(user, scope=token.scope))
