"""The clock reads a seventh of all results every day; what is not what was stored is logged, returned and an alert."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select
from structlog.testing import capture_logs

from storage_core import alerts, backtests, result_store
from storage_core.db import session_scope
from storage_core.models import Job
from storage_core.settings import Settings
from tests.storage_core.examples import METADATA, METRICS, spec
from tests.storage_core.sound import SPEC, sound_tables
from workers.daily_verify import JOB, MISMATCH, verify_part_of_today

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WEEK = [NOON + timedelta(days=day) for day in range(7)]


@pytest.fixture
def seven(engine: Engine, settings: Settings) -> list[uuid.UUID]:
    """Results with seven ids in a row: one for each day of the week."""
    ids = [uuid.UUID(int=2**100 + number) for number in range(7)]
    for task_id in ids:
        with session_scope(engine) as session:
            backtests.create(session, spec=spec(**SPEC), owner_id=None, source="web", task_id=task_id)
            claim = backtests.claim(session, task_id, worker="test")
        assert claim is not None
        result_store.save(engine, settings, claim, sound_tables(trades=5, bars=20), metrics=METRICS, metadata=METADATA)
    return ids


def done(engine: Engine) -> list[Job]:
    with session_scope(engine) as session:
        return list(session.scalars(select(Job).where(Job.kind == JOB).order_by(Job.started_at)))


def open_alerts(engine: Engine) -> list[str]:
    with session_scope(engine) as session:
        return [alert.message for alert in alerts.open_alerts(session, kind="integrity")]


def test_a_week_reads_everything_once(engine: Engine, settings: Settings, seven: list[uuid.UUID]) -> None:
    for day in WEEK:
        assert verify_part_of_today(engine, settings, now=day) == []
        assert verify_part_of_today(engine, settings, now=day + timedelta(hours=1)) == []
    assert [(job.status, job.outcome["results"], job.outcome["files"]) for job in done(engine)] == [
        ("completed", 1, 3)
    ] * 7
    assert {job.args["part"] for job in done(engine)} == set(range(7))


def test_a_flipped_byte_is_found_within_the_week(engine: Engine, settings: Settings, seven: list[uuid.UUID]) -> None:
    path = settings.results_dir / "backtests" / str(seven[4]) / "symbol_signals.parquet"
    sound = path.read_bytes()
    path.write_bytes(bytes([sound[0], sound[1] ^ 1, *sound[2:]]))
    with capture_logs() as logs:
        found = {day: verify_part_of_today(engine, settings, now=day) for day in WEEK}
    findings = [finding for some in found.values() for finding in some]
    assert [(finding.task_id, finding.path) for finding in findings] == [(seven[4], str(path))]
    errors = [line for line in logs if line["log_level"] == "error"]
    assert [(line["event"], line["task_id"], line["path"]) for line in errors] == [(MISMATCH, str(seven[4]), str(path))]
    assert [str(path) in message for message in open_alerts(engine)] == [True]

    next_week = [day + timedelta(days=7) for day, some in found.items() if not some]
    assert verify_part_of_today(engine, settings, now=next_week[0]) == []
    assert len(open_alerts(engine)) == 1  # another part was verified, and this one is damaged still
    path.write_bytes(sound)
    assert verify_part_of_today(engine, settings, now=next_week[1]) == []
    assert open_alerts(engine) == []


def test_two_clocks_at_once(engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one wrote while the first was reading: one row, and no error."""
    from workers import daily_verify

    real = daily_verify.verify

    def meanwhile(*args: object, **options: object) -> object:
        monkeypatch.setattr(daily_verify, "verify", real)
        assert verify_part_of_today(engine, settings, now=NOON) == []
        return real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(daily_verify, "verify", meanwhile)
    assert verify_part_of_today(engine, settings, now=NOON) == []
    assert len(done(engine)) == 1
