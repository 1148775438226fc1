"""Tokens and idempotency keys on both databases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, func, select

from storage_core import api_tokens, idempotency
from storage_core.db import session_scope, utc_now
from storage_core.errors import AccountError
from storage_core.models import IdempotencyKey, User


@pytest.fixture
def owner(engine: Engine) -> int:
    with session_scope(engine) as session:
        user = User(name="ada", password_hash="x")
        session.add(user)
        session.flush()
        return user.id


def test_a_token_lives_until_it_expires(engine: Engine, owner: int) -> None:
    now = utc_now()
    with session_scope(engine) as session:
        token, text = api_tokens.create(session, owner_id=owner, name=" cron ", scope="read", days=2, now=now)
        assert token.name == "cron"
    with session_scope(engine) as session:
        found = api_tokens.find(session, text)
        assert found is not None
        assert (found[0].id, found[1].name) == (token.id, "ada")
        assert api_tokens.find(session, text, now=now + timedelta(days=2)) is None
        assert api_tokens.find(session, text[:-1] + ("A" if text[-1] != "A" else "B")) is None


def test_there_are_so_many_and_no_more(engine: Engine, owner: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_tokens, "MOST_TOKENS", 2)
    with session_scope(engine) as session:
        first, _ = api_tokens.create(session, owner_id=owner, name="a", scope="read")
        api_tokens.create(session, owner_id=owner, name="b", scope="read")
        with pytest.raises(AccountError, match="at most 2 at a time"):
            api_tokens.create(session, owner_id=owner, name="c", scope="read")
        assert api_tokens.revoke(session, owner, first.id)
        session.expire_all()
        api_tokens.create(session, owner_id=owner, name="c", scope="read")


def test_scopes_include_the_smaller_ones() -> None:
    grid = {has: [wants for wants in ("read", "write", "admin") if api_tokens.allows(has, wants)] for has in ("read", "write", "admin")}  # fmt: skip  # noqa: E501
    assert grid == {"read": ["read"], "write": ["read", "write"], "admin": ["read", "write", "admin"]}


def test_of_many_at_once_one_works_on_a_key(engine: Engine, owner: int) -> None:
    def claim(_: int) -> idempotency.Ticket:
        with session_scope(engine) as session:
            return idempotency.claim(session, owner, "k", "print")

    with ThreadPoolExecutor(8) as pool:
        tickets = list(pool.map(claim, range(16)))
    assert len([ticket for ticket in tickets if ticket.mine]) == 1
    assert len({ticket.task_id for ticket in tickets}) == 1
    assert all(ticket.answer is None and ticket.matches for ticket in tickets)


def test_an_answer_is_kept_for_a_day(engine: Engine, owner: int) -> None:
    with session_scope(engine) as session:
        ticket = idempotency.claim(session, owner, "k", "print")
        idempotency.remember(session, ticket, {"status": 202})
    with session_scope(engine) as session:
        again = idempotency.claim(session, owner, "k", "print")
        assert (again.mine, again.answer, again.task_id) == (False, {"status": 202}, ticket.task_id)
        assert idempotency.claim(session, owner, "k", "another").matches is False
        idempotency.forget(session, ticket)  # too late: it has been answered
    with session_scope(engine) as session:
        later = idempotency.claim(session, owner, "k", "another", now=utc_now() + idempotency.KEPT_FOR)
        assert later.mine
        assert session.scalar(select(func.count()).select_from(IdempotencyKey)) == 1


def test_a_dead_request_is_taken_over_with_its_id(engine: Engine, owner: int) -> None:
    with session_scope(engine) as session:
        first = idempotency.claim(session, owner, "k", "print")
    with session_scope(engine) as session:
        assert not idempotency.claim(session, owner, "k", "print").mine
        heir = idempotency.claim(session, owner, "k", "print", now=utc_now() + idempotency.LOCKED_FOR)
        assert (heir.mine, heir.task_id) == (True, first.task_id)
    with session_scope(engine) as session:
        assert not idempotency.claim(session, owner, "k", "print").mine, "it is locked again"
        idempotency.unlock(session, heir)
    with session_scope(engine) as session:
        assert idempotency.claim(session, owner, "k", "print").mine


def test_a_refused_request_frees_its_key(engine: Engine, owner: int) -> None:
    with session_scope(engine) as session:
        idempotency.forget(session, idempotency.claim(session, owner, "k", "print"))
    with session_scope(engine) as session:
        assert idempotency.claim(session, owner, "k", "another").mine
