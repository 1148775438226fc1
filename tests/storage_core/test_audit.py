"""The audit log: what is kept, found, paged through and let go of."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select

from storage_core import audit
from storage_core.db import session_scope
from storage_core.errors import BadCursor
from storage_core.models import AuditEntry

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def fill(engine: Engine, count: int) -> None:
    with session_scope(engine) as session:
        for number in range(count):
            audit.record(
                session,
                actor="ada" if number % 2 else "tom",
                action="backtest.deleted" if number % 3 else "account.logged_in",
                target=f"t{number}",
                now=NOW + timedelta(seconds=number // 2),  # two at every instant
            )


def targets(page: audit.AuditPage) -> list[int]:
    return [int(row.target[1:]) for row in page.rows]


def test_pages_lead_through_every_entry_and_back(engine: Engine) -> None:
    fill(engine, 11)
    with session_scope(engine) as session:
        first = audit.list_entries(session, size=4)
        second = audit.list_entries(session, after=first.older, size=4)
        third = audit.list_entries(session, after=second.older, size=4)
        assert [targets(page) for page in (first, second, third)] == [[10, 9, 8, 7], [6, 5, 4, 3], [2, 1, 0]]
        assert (first.newer, third.older) == (None, None)
        back = audit.list_entries(session, before=third.newer, size=4)
        assert targets(back) == targets(second)
        again = audit.list_entries(session, before=back.newer, size=4)
        assert targets(again) == targets(first)
        assert (again.newer, again.older) == (None, first.older)


def test_filters_narrow_and_combine(engine: Engine) -> None:
    fill(engine, 12)
    cases = [
        ({"actor": "ada"}, [11, 9, 7, 5, 3, 1]),
        ({"action": "account.logged_in"}, [9, 6, 3, 0]),
        ({"actor": "ada", "action": "account.logged_in"}, [9, 3]),
        ({"target": "t1"}, [11, 10, 1]),
        ({"target": "%"}, []),
        ({"since": NOW + timedelta(seconds=2), "until": NOW + timedelta(seconds=3)}, [5, 4]),
    ]
    with session_scope(engine) as session:
        for filters, found in cases:
            assert targets(audit.list_entries(session, audit.AuditFilters(**filters))) == found, filters
        assert audit.actions(session) == ["account.logged_in", "backtest.deleted"]


def test_hostile_texts_are_stored_on_one_line_and_cut(engine: Engine) -> None:
    with session_scope(engine) as session:
        audit.record(
            session,
            actor="eve\r\nadmin logged in",
            action="account.login_failed",
            target="\x00\x1b[2J\u202e" + "x" * 1000,
            detail={
                "name": "\x00a\nb",
                "deep": [[[[["x"]]]]],
                "not": float("nan"),
                "long": "y" * 9999,
                "half": "\ud800",
            },
            address="::1",
            request_id="r" * 99,
        )
    with session_scope(engine) as session:
        row = session.scalars(select(AuditEntry)).one()
        assert row.actor == "eve??admin logged in"
        assert row.target.startswith("??[2J?xxx")
        assert len(row.target) == 200
        assert len(row.request_id) == 40
        assert row.detail["name"] == "?a?b"
        assert (row.detail["not"], row.detail["half"], len(row.detail["long"])) == ("nan", "?", 500)


def test_entries_go_after_400_days(engine: Engine) -> None:
    fill(engine, 4)
    with session_scope(engine) as session:
        assert audit.purge(session, now=NOW + audit.KEPT_FOR) == 0
        assert audit.purge(session, now=NOW + audit.KEPT_FOR + timedelta(seconds=1)) == 2
        assert targets(audit.list_entries(session)) == [3, 2]


@pytest.mark.parametrize("cursor", ["", "x", "1", "1-", "-1", "9" * 18 + "-1", "1-1-1", "１-１"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_cursor_of_somebody_elses_making_is_refused(engine: Engine, cursor: str) -> None:
    with session_scope(engine) as session, pytest.raises(BadCursor):
        audit.list_entries(session, after=cursor)
