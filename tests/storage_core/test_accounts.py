"""The first account, passwords, the setup link."""

import time

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from storage_core import accounts
from storage_core.db import session_scope
from storage_core.errors import AccountError, AlreadySetUp
from storage_core.models import User
from storage_core.settings import Settings

PASSWORD = "correct horse"


def test_the_first_account_is_the_administrator(engine: Engine) -> None:
    with session_scope(engine) as session:
        assert accounts.needs_setup(session)
        user = accounts.create_first_account(session, name=" Kim ", password=PASSWORD, timezone="Asia/Seoul")
        assert (user.id, user.name, user.role, user.timezone, user.theme) == (1, "kim", "admin", "Asia/Seoul", "auto")
    with session_scope(engine) as session:
        assert not accounts.needs_setup(session)
        with pytest.raises(AlreadySetUp):
            accounts.create_first_account(session, name="lee", password=PASSWORD)


def test_of_two_at_once_one_gets_it(engine: Engine) -> None:
    with session_scope(engine) as session:
        accounts.create_first_account(session, name="kim", password=PASSWORD)
    with pytest.raises(IntegrityError), session_scope(engine) as session:  # the other saw no account yet
        session.add(User(id=1, name="lee", password_hash="x"))


def test_the_next_account_gets_the_next_number(engine: Engine) -> None:
    with session_scope(engine) as session:
        accounts.create_first_account(session, name="kim", password=PASSWORD)
    with session_scope(engine) as session:
        session.add(second := User(name="lee", password_hash="x"))
        session.flush()
        assert second.id == 2


def test_passwords(engine: Engine) -> None:
    with session_scope(engine) as session:
        accounts.create_first_account(session, name="kim", password=PASSWORD)
    with session_scope(engine) as session:
        user = accounts.verify_password(session, "KIM ", PASSWORD)
        assert user is not None
        assert user.last_login_at is not None
        assert user.password_hash.startswith("$argon2id$")
        assert accounts.verify_password(session, "kim", PASSWORD + " ") is None
        for nobody in ("lee", "", "kim\x00", "\ud800", "k" * 9999):
            assert accounts.verify_password(session, nobody, PASSWORD) is None
        sessions = user.sessions
        accounts.set_password(session, user, PASSWORD + "!")
        assert user.sessions == sessions + 1
        accounts.set_password(session, user, PASSWORD)
        user.active = False
        session.flush()
        assert accounts.verify_password(session, "kim", PASSWORD) is None


def test_an_unknown_name_takes_as_long_as_a_wrong_password(engine: Engine) -> None:
    with session_scope(engine) as session:
        accounts.create_first_account(session, name="kim", password=PASSWORD)
        seconds = []
        for name in ("kim", "nobody"):
            started = time.process_time()
            assert accounts.verify_password(session, name, "wrong password") is None
            seconds.append(time.process_time() - started)
    assert min(seconds) > 0.25 * max(seconds)


def test_changes(engine: Engine) -> None:
    with session_scope(engine) as session:
        user = accounts.create_first_account(session, name="kim", password=PASSWORD)
        accounts.set_password(session, user, "another horse")
        accounts.set_preferences(session, user, timezone="Europe/Berlin", theme="dark", language="ko")
        accounts.set_preferences(session, user, timezone="Europe/Berlin", theme="dark")
        assert user.language == "ko"
        assert accounts.verify_password(session, "kim", PASSWORD) is None
        assert accounts.verify_password(session, "kim", "another horse") is user
        with pytest.raises(AccountError, match="timezone"):
            accounts.set_preferences(session, user, timezone="Mars/Base", theme="dark")
        with pytest.raises(AccountError, match="auto, light, dark"):
            accounts.set_preferences(session, user, timezone="UTC", theme="pink")
        with pytest.raises(AccountError, match="en, ko"):
            accounts.set_preferences(session, user, timezone="UTC", theme="dark", language="xx")


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "kim lee"}),
        ("name", {"name": "k" * 81}),
        ("password", {"password": "1234567"}),
        ("password", {"password": "x" * 1025}),
        ("timezone", {"timezone": "/etc/localtime"}),
        ("theme", {"theme": "pink"}),
    ],
)
def test_bad_accounts_are_refused_with_what_is_allowed(engine: Engine, field: str, values: dict[str, str]) -> None:
    with session_scope(engine) as session:
        with pytest.raises(AccountError) as caught:
            accounts.create_first_account(session, **{"name": "kim", "password": PASSWORD, **values})
        assert caught.value.field == field
        assert accounts.needs_setup(session)


def test_an_unknown_role_is_refused_by_the_database(engine: Engine) -> None:
    with session_scope(engine) as session:
        accounts.create_first_account(session, name="kim", password=PASSWORD)
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text("UPDATE users SET role = 'root'"))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_setup_link(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    token = accounts.setup_token(settings)
    assert accounts.check_setup_token(settings, token)
    for bad in ("", "x", token[:-2], token + "x", accounts.setup_token(_other(settings))):
        assert not accounts.check_setup_token(settings, bad)
    tomorrow = time.time() + accounts.SETUP_LINK_SECONDS + 2
    monkeypatch.setattr(time, "time", lambda: tomorrow)
    assert not accounts.check_setup_token(settings, token)


def _other(settings: Settings) -> Settings:
    return Settings(data_dir=settings.data_dir, database_url=settings.database_url, secret_key="another secret key!")
