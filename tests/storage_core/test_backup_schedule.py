"""When backups are due and overdue: by the clock of the time zone, once a night, made up for when missed."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from sqlalchemy import Engine

from storage_core import backup_records
from storage_core.backup_schedule import BACKUP, REHEARSE, VERIFY, due, job_id, last_turn, overdue
from storage_core.db import session_scope
from storage_core.models import Job, User

MONDAY = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Nothing here differs between databases."""
    return sqlite_url


def account(engine: Engine, at: datetime) -> None:
    with session_scope(engine) as session:
        session.add(User(name="ada", role="admin", password_hash="x", created_at=at))


def done(engine: Engine, kind: str, at: datetime, **outcome: object) -> None:
    with session_scope(engine) as session:
        backup_records.record(session, kind=kind, outcome=outcome, began=at, ended=at)


def kinds(engine: Engine, now: datetime, timezone: str = "UTC") -> list[str]:
    with session_scope(engine) as session:
        return [one.kind for one in due(session, now=now, timezone=timezone)]


def keys(engine: Engine, now: datetime) -> list[str]:
    with session_scope(engine) as session:
        return [one.key for one in overdue(session, now)]


def test_a_new_installation_waits_for_its_first_night(engine: Engine) -> None:
    assert kinds(engine, MONDAY) == []
    account(engine, MONDAY)
    assert kinds(engine, MONDAY + timedelta(hours=14)) == []
    assert kinds(engine, MONDAY + timedelta(hours=15)) == [BACKUP]


def test_a_missed_night_is_made_up_for_and_once(engine: Engine) -> None:
    account(engine, MONDAY - timedelta(days=20))
    with session_scope(engine) as session:
        [one] = due(session, now=MONDAY, timezone="UTC")
        assert (one.job_id, one.args) == (job_id(BACKUP, MONDAY.date()), {"night": "2026-03-02"})
        session.add(Job(job_id=one.job_id, kind=one.kind))
    assert kinds(engine, MONDAY) == []
    assert kinds(engine, MONDAY + timedelta(hours=15)) == [BACKUP], "the next night"


def test_the_rehearsal_is_of_the_sunday_and_waits_for_a_backup(engine: Engine) -> None:
    account(engine, MONDAY - timedelta(days=20))
    assert kinds(engine, MONDAY) == [BACKUP]
    done(engine, BACKUP, MONDAY - timedelta(hours=9))
    assert kinds(engine, MONDAY) == [BACKUP, REHEARSE]
    with session_scope(engine) as session:
        assert due(session, now=MONDAY, timezone="UTC")[1].args == {"week": "2026-03-01"}


@pytest.mark.parametrize(
    ("now", "timezone", "turn", "day"),
    [
        ("2026-03-02T03:00:00+00:00", "UTC", "2026-03-02T03:00:00+00:00", "2026-03-02"),
        ("2026-03-02T02:59:59+00:00", "UTC", "2026-03-01T03:00:00+00:00", "2026-03-01"),
        ("2026-03-01T18:00:00+00:00", "Asia/Seoul", "2026-03-01T18:00:00+00:00", "2026-03-02"),
        ("2026-03-29T06:00:00+00:00", "Europe/Berlin", "2026-03-29T01:00:00+00:00", "2026-03-29"),
        ("2026-10-25T06:00:00+00:00", "Europe/Berlin", "2026-10-25T02:00:00+00:00", "2026-10-25"),
        ("2026-03-08T12:00:00+00:00", "America/New_York", "2026-03-08T07:00:00+00:00", "2026-03-08"),
    ],
)
def test_three_in_the_morning_there(now: str, timezone: str, turn: str, day: str) -> None:
    found = last_turn(datetime.fromisoformat(now), timezone, at=time(3))
    assert found == (datetime.fromisoformat(turn), date.fromisoformat(day))


def test_every_night_of_a_year_has_one_turn() -> None:
    start = datetime(2026, 1, 1, 12, tzinfo=UTC)
    days = [last_turn(start + timedelta(days=day), "America/New_York", at=time(3))[1] for day in range(365)]
    assert days == [date(2026, 1, 1) + timedelta(days=day) for day in range(365)]


def test_overdue_after_26_hours_and_8_days(engine: Engine) -> None:
    assert keys(engine, MONDAY) == [], "there is nothing yet"
    account(engine, MONDAY)
    assert keys(engine, MONDAY + timedelta(hours=26)) == []
    assert keys(engine, MONDAY + timedelta(hours=26, seconds=1)) == [BACKUP]
    assert keys(engine, MONDAY + timedelta(days=8, seconds=1)) == [BACKUP, REHEARSE]
    done(engine, BACKUP, MONDAY + timedelta(days=8))
    assert keys(engine, MONDAY + timedelta(days=8, seconds=1)) == [REHEARSE]
    done(engine, REHEARSE, MONDAY + timedelta(days=8))
    assert keys(engine, MONDAY + timedelta(days=9)) == []


def test_a_failed_job_is_no_success(engine: Engine) -> None:
    account(engine, MONDAY)
    with session_scope(engine) as session:
        session.add(Job(job_id=job_id(BACKUP, MONDAY.date()), kind=BACKUP, status="failed", finished_at=MONDAY))
    assert keys(engine, MONDAY + timedelta(hours=27)) == [BACKUP]


def test_damage_that_a_verify_found_and_files_that_a_backup_lacks_are_told(engine: Engine) -> None:
    account(engine, MONDAY)
    done(engine, BACKUP, MONDAY, problems=2)
    done(engine, VERIFY, MONDAY, damaged=1)
    with session_scope(engine) as session:
        messages = {one.key: one.message for one in overdue(session, MONDAY)}
    assert messages.keys() == {"backup_damaged", "backup_incomplete"}
    day = timedelta(days=1)
    done(engine, VERIFY, MONDAY + day, damaged=0, part="2 of 7")
    done(engine, BACKUP, MONDAY + day, problems=0)
    assert keys(engine, MONDAY + day) == ["backup_damaged"], "the next seventh says nothing of the one before"
    done(engine, VERIFY, MONDAY + 2 * day, damaged=0, part=None)
    assert keys(engine, MONDAY + 2 * day) == [], "everything was read again"


def test_damage_of_a_seventh_is_told_until_its_turn_came_again(engine: Engine) -> None:
    account(engine, MONDAY)
    done(engine, VERIFY, MONDAY, damaged=3, part="1 of 7")
    for day in range(1, 8):
        now = MONDAY + timedelta(days=day, seconds=1)
        done(engine, BACKUP, now)
        done(engine, VERIFY, now, damaged=0, part=f"{day % 7 + 1} of 7")
        assert keys(engine, now) == (["backup_damaged"] if day < 7 else [])
