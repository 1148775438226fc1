"""Guessing passwords is slowed down, by address and by name."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from storage_core import audit, login_guard
from storage_core.db import session_scope
from storage_core.models import User
from storage_core.settings import Settings

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def refuse(engine: Engine, count: int, *, address: str, target: str, every: timedelta = SECOND) -> None:
    """`count` refusals, the last of them now."""
    with session_scope(engine) as session:
        for number in range(count):
            at = NOW - every * (count - 1 - number)
            audit.record(session, actor="x", action="account.login_failed", address=address, target=target, now=at)


def wait(engine: Engine, address: str, target: str, *, later: timedelta = timedelta()) -> timedelta | None:
    with session_scope(engine) as session:
        return login_guard.wait_before_trying(session, address=address, target=target, now=NOW + later)


def test_an_address_waits_after_ten_in_a_minute(engine: Engine) -> None:
    with session_scope(engine) as session:
        audit.record(session, actor="x", action="account.logged_in", address="10.0.0.1", now=NOW)
    for number in range(10):
        assert wait(engine, "10.0.0.1", "bob") is None, number
        refuse(engine, 1, address="10.0.0.1", target=f"name{number}")
    assert wait(engine, "10.0.0.1", "bob") == timedelta(minutes=1)
    assert wait(engine, "10.0.0.1", "bob", later=20 * SECOND) == timedelta(seconds=40)
    assert wait(engine, "10.0.0.1", "bob", later=60 * SECOND) is None
    assert wait(engine, "10.0.0.2", "bob") is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_address_waits_longer_after_sixty_in_an_hour(engine: Engine) -> None:
    for number in range(60):
        refuse(engine, 1, address="10.0.0.1", target=f"name{number}")
    assert wait(engine, "10.0.0.1", "bob", later=timedelta(minutes=2)) == timedelta(minutes=58)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_name_waits_wherever_the_guesses_come_from(engine: Engine) -> None:
    for number in range(10):
        refuse(engine, 1, address=f"10.0.0.{number}", target="bob")
    assert wait(engine, "10.9.9.9", "bob") == timedelta(minutes=15)
    assert wait(engine, "10.9.9.9", "eve") is None
    assert wait(engine, "", "eve") is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_noted_of_a_name_that_nobody_has_is_not_what_was_typed(engine: Engine, settings: Settings) -> None:
    with session_scope(engine) as session:
        session.add(User(name="ada", password_hash="x"))
        session.flush()
        assert login_guard.noted_name(session, settings, " ADA ") == "ada"
        typed = login_guard.noted_name(session, settings, "my secret password\ud800")
        assert typed.startswith("(unknown ")
        assert "secret" not in typed
        assert typed == login_guard.noted_name(session, settings, "MY secret password\ud800 ")
        assert typed != login_guard.noted_name(session, settings, "my secret passwort\ud800")
