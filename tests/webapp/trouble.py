"""A life in which everything has gone wrong, in the words of the code."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import Engine

from storage_core.db import session_scope
from storage_core.events import add_event
from storage_core.models import Alert, Backtest, CustomStrategy, Job, Schedule
from tests.webapp import results

NOW = datetime(2025, 10, 9, 12, 0, tzinfo=UTC)


def trouble(engine: Engine, ada: int, done: str) -> None:
    """Alerts, jobs, strategies, schedules, and the result at the address `done`."""
    messages = [
        f"Backtest {uuid4()} (sma_cross) failed in every attempt: strategy 'mine': signals failed: KeyError: 'n'",
        "The queue server does not answer: TimeoutError", "No worker has given a sign of life since 2025-01-01",
        "A backtest has waited for 12 min although 1 of 2 workers are idle",
        "The disk of /data is 91% full: 3.2 GB are free", "No backup for more than 26 hours: there has been none.",
        "7 results are not kept as json, which the storage mode dual-write asks for: run flask repair-results",
        "The channel json://host does not take messages: it did not answer in time",
        f"The stored result of {uuid4()} is missing or damaged: /data/x.parquet: it does not exist",
    ]  # fmt: skip
    problems = [
        "upbit: it has no market KRW-XYZ; near to it: KRW-XRP", "binance: it answered 500",
        "ccxt:kraken: it cannot be reached (ConnectTimeout)", "cannot write /data/bars/x: No space left on device",
        "bars of KRW-BTC 1h cannot be stored: the times are not strictly increasing",
        "another backup is running; try again when it is done",
        "the database is damaged, so no backup was made of it: page 3",
    ]  # fmt: skip
    kinds = [
        "fetch_bars",
        "backup",
        "verify_backup",
        "rehearse_backup",
        "prune_backups",
        "cleanup_results",
        "verify-results",
    ]
    fetched = {"exchange": "upbit", "symbol": "KRW-BTC", "timeframe": "1h", "wins": "stored",
               "start": "2024-01-01T00:00:00+00:00", "end": None}  # fmt: skip
    ended = {"status": "failed", "finished_at": NOW, "error_code": "exchange_refused", "owner_id": ada}
    own = {"help": "", "params": {}, "source": "strategies/x.py", "sha256": "ab" * 32}
    with session_scope(engine) as session:
        for number, message in enumerate(messages):
            over = NOW if number % 2 else None
            session.add(Alert(key=f"x:{number}", kind="queue", message=message, resolved_at=over))
        for kind, why in zip(kinds, problems, strict=True):
            session.add(
                Job(job_id=uuid4(), kind=kind, args=fetched if kind == "fetch_bars" else {}, error_message=why, **ended)
            )
        session.add(Job(job_id=uuid4(), kind="fetch_bars", args=fetched, error_message=problems[1], **ended))
        for name, why in (("one", "there is no function signals(bars, params)"), ("two", "not a Python file")):
            session.add(CustomStrategy(name=name, label=name, error=why, **own))
        row = session.get_one(Backtest, UUID(done[-36:]))
        why = "the line 'Next' changes at bar 7 when later bars are cut off (lookahead)"
        row.metadata_ = {**row.metadata_, "lines": {"drawn": [], "problem": why}}
        add_event(session, row.task_id, "lines_missing", attempt=1, detail={"message": why})
        add_event(session, row.task_id, "released", attempt=1, detail={"reason": "the worker was told to stop"})
        late = "There are no bars after 2025-01-01 00:00 UTC, the last one of the run before. Fetch or import some."
        session.add(
            Schedule(owner_id=ada, name="주간", spec=results.spec(), every="week", next_run_at=NOW, last_error=late)
        )
