"""What admins do with accounts, one-time links, and the admin who always stays."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Engine, select

from storage_core import account_admin, account_links, accounts
from storage_core.db import session_scope
from storage_core.errors import AccountError, AccountNotFound, LastAdmin
from storage_core.models import User
from storage_core.settings import Settings

PASSWORD = "correct horse"


@pytest.fixture
def people(engine: Engine) -> dict[str, int]:
    """kim and lee are admins, tom is a trader. No test here needs their password, so none is hashed."""
    with session_scope(engine) as session:
        rows = [User(name=name, role=role, password_hash="x") for name, role in
                (("kim", "admin"), ("lee", "admin"), ("tom", "trader"))]  # fmt: skip
        session.add_all(rows)
        session.flush()
        return {row.name: row.id for row in rows}


def roles(engine: Engine) -> dict[str, str]:
    with session_scope(engine) as session:
        return {user.name: user.role if user.active else "-" for user in session.scalars(select(User))}


def test_roles_change_and_accounts_close_and_open(engine: Engine, people: dict[str, int]) -> None:
    with session_scope(engine) as session:
        account_admin.set_role(session, people["tom"], "viewer")
        assert account_admin.deactivate(session, people["lee"]).sessions == 1
    assert roles(engine) == {"kim": "admin", "lee": "-", "tom": "viewer"}
    with session_scope(engine) as session:
        account_admin.reactivate(session, people["lee"])
        assert [user.name for user in account_admin.list_users(session)] == ["kim", "lee", "tom"]
        with pytest.raises(AccountError, match="viewer, trader, admin"):
            account_admin.set_role(session, people["tom"], "king")
        for number in (99, 0, -1, 2**40):
            with pytest.raises(AccountNotFound):
                account_admin.deactivate(session, number)
    assert roles(engine)["lee"] == "admin"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_last_admin_who_can_log_in_stays(engine: Engine, people: dict[str, int]) -> None:
    with session_scope(engine) as session:
        account_admin.deactivate(session, people["lee"])
        accounts.create_user(session, name="new", role="admin")  # invited, cannot log in yet
        accounts.local_user(session)  # an admin of AUTH=none, who cannot either
    for act in (account_admin.deactivate, lambda session, one: account_admin.set_role(session, one, "trader")):
        with pytest.raises(LastAdmin, match="kim is the last admin"), session_scope(engine) as session:
            act(session, people["kim"])
    assert roles(engine)["kim"] == "admin"


def test_two_admins_who_demote_each_other_do_not_both_go(engine: Engine, people: dict[str, int]) -> None:
    start = Barrier(2)

    def demote(name: str) -> bool:
        start.wait()
        try:
            with session_scope(engine) as session:
                account_admin.set_role(session, people[name], "trader")
        except LastAdmin:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(demote, ("kim", "lee"))) == [False, True]
    assert sorted(roles(engine).values()) == ["admin", "trader", "trader"]


def test_a_new_account_has_a_name_of_its_own(engine: Engine) -> None:
    with session_scope(engine) as session:
        user = accounts.create_user(session, name=" Vera ", role="viewer", timezone="Asia/Seoul", password=PASSWORD)
        assert (user.name, user.role, user.timezone) == ("vera", "viewer", "Asia/Seoul")
        assert accounts.verify_password(session, "vera", PASSWORD) is user
        with pytest.raises(AccountError, match="no other account"):
            accounts.create_user(session, name="VERA")
        for bad in ("(local)", "a\nb", "vera\x00", "<b>", "../x"):
            with pytest.raises(AccountError, match="name is"):
                accounts.create_user(session, name=f"x{bad}")
        for password in ("vera2222", "zzzzzzzzzzzz", "short"):
            with pytest.raises(AccountError, match="password"):
                accounts.create_user(session, name="vera2222", password=password)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_invitation_works_once(engine: Engine, settings: Settings) -> None:
    with session_scope(engine) as session:
        user = accounts.create_user(session, name="vera")
        token = account_links.link_token(settings, user)
        assert accounts.verify_password(session, "vera", "") is None
        assert account_links.link_owner(session, settings, token) is user
        with pytest.raises(AccountError):
            account_links.use_link(session, settings, token, "short")
        assert account_links.use_link(session, settings, token, PASSWORD) is user
    with session_scope(engine) as session:
        assert account_links.use_link(session, settings, token, "another horse") is None
        assert accounts.verify_password(session, "vera", PASSWORD) is not None


def _other_password(session, user) -> None:
    accounts.set_password(session, user, "another horse")


def _logged_out(session, user) -> None:
    accounts.end_sessions(session, user)


def _closed(session, user) -> None:
    user.active = False


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("change", [_other_password, _logged_out, _closed])
def test_a_link_dies_with_what_it_was_made_for(
    engine: Engine, settings: Settings, people: dict[str, int], change: Callable
) -> None:
    with session_scope(engine) as session:
        user = account_admin.get_user(session, people["tom"])
        token = account_links.link_token(settings, user)
        change(session, user)
        session.flush()
        assert account_links.link_owner(session, settings, token) is None
        assert account_links.use_link(session, settings, token, PASSWORD) is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_link_is_ours_and_young(
    engine: Engine, settings: Settings, people: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with session_scope(engine) as session:
        token = account_links.link_token(settings, account_admin.get_user(session, people["tom"]))
        for bad in ("", "x", token[:-1], token + "x", accounts.setup_token(settings)):
            assert account_links.link_owner(session, settings, bad) is None
        assert not accounts.check_setup_token(settings, token)
        later = time.time() + account_links.LINK_SECONDS + 2
        monkeypatch.setattr(time, "time", lambda: later)
        assert account_links.link_owner(session, settings, token) is None


def test_the_account_of_an_installation_without_login(engine: Engine) -> None:
    with session_scope(engine) as session:
        local = accounts.local_user(session, timezone="Asia/Seoul")
        assert (local.id, local.name, local.role, local.timezone) == (0, "(local)", "admin", "Asia/Seoul")
    with session_scope(engine) as session:
        assert accounts.local_user(session).id == 0
        assert accounts.needs_setup(session)  # it is nobody's account
        assert accounts.create_first_account(session, name="kim", password=PASSWORD).id == 1
        assert accounts.verify_password(session, "(local)", "") is None
        assert [user.name for user in account_admin.list_users(session)] == ["kim"]
