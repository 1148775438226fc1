"""Bring bars in: send a file, or have them fetched from an exchange; and how far that is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from flask import Response, request, url_for
from pydantic import ConfigDict, Field

from engine.spec import TIMEFRAMES
from storage_core import bar_upload_files, jobs
from storage_core.bar_errors import BarConflicts
from storage_core.errors import BadFilter, JobEnded, JobNotFound
from storage_core.fetch_request import KIND
from storage_core.models import STATUSES, Job
from webapp.api.answers import EXAMPLE_ID, Answer
from webapp.api.blueprint import CATALOGUE, answers, blueprint, to_json
from webapp.api.requests import Body, Nothing, Strict
from webapp.api.values import Boolean, Symbol
from webapp.audit import audit
from webapp.errors import answer
from webapp.extensions import bar_store, db, settings
from webapp.fetching import check_wins, may_stop, start_fetch
from webapp.login import need_trader
from webapp.problems import problem

if TYPE_CHECKING:
    from storage_core.bar_merge import MergePlan

Timeframe = Literal[tuple(TIMEFRAMES)]  # type: ignore[valid-type]
Side = Literal["stored", "new"]
KINDS_OF_FILES = ("text/csv", "application/vnd.apache.parquet", "application/octet-stream")
PIECE = 1_000_000
EXAMPLE = {"exchange": "upbit", "symbol": "KRW-BTC", "timeframe": "1h", "start": "2024-01-01"}


class UploadQuery(Strict):
    """Whose bars the body holds. Its columns are found by their names."""

    symbol: Symbol
    timeframe: Timeframe
    zone: Annotated[str, Field(max_length=60)] = Field("UTC", description="Time zone of times that name none.")
    leave_out: Boolean = Field(False, description="Leave out rows that cannot be bars.")
    wins: Side | None = Field(None, description="Whose bars stay where they differ; new is for admins.")
    dry_run: Boolean = Field(False, description="Report, and store nothing.")


class FetchBody(Body):
    """What to fetch. Without `start`: from where the stored bars end."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    exchange: Annotated[str, Field(max_length=40)] = Field(examples=["upbit"])
    symbol: Annotated[str, Field(max_length=40)] = Field(examples=["KRW-BTC"])
    timeframe: Annotated[str, Field(max_length=10)] = Field(examples=["1h"])
    start: Annotated[str, Field(max_length=40)] = Field("", description="The first day, UTC.", examples=["2024-01-01"])
    end: Annotated[str, Field(max_length=40)] = Field("", description="The day after the last, UTC.")
    wins: Side = Field("stored", description="Whose bars stay where they differ; new is for admins.")


class JobPath(Strict):
    """The id in an address."""

    job_id: UUID = Field(json_schema_extra={"example": EXAMPLE_ID})


class UploadReport(Answer):
    """What the file holds and what became of it. Rows are counted from 1."""

    symbol: str
    timeframe: str
    rows: int = Field(description="Rows in the file.")
    added: int = Field(description="Bars that were not stored before.")
    same: int
    conflicts: int = Field(description="Bars that are stored with other values.")
    bad_rows: int = Field(description="Rows that cannot be bars.")
    quality: Literal["good", "fair", "poor"]
    first: datetime
    last: datetime
    stored: bool


class JobStatus(Answer):
    """How far a job is. `outcome` says what came of it: bars added, the same, in conflict."""

    job_id: UUID
    kind: str
    status: Literal[STATUSES]  # type: ignore[valid-type]
    progress: float = Field(ge=0, le=1)
    phase: str
    attempt: int
    created_at: datetime
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    error_code: str | None
    error_message: str | None
    outcome: dict[str, Any]


@blueprint.post("/data", tags=[CATALOGUE], responses=answers({200: UploadReport}, 409, 413, 415, 422))
def upload_data(query: UploadQuery) -> Response:
    """Store bars from a CSV or Parquet file, which is the body.

    Nothing is stored when a row cannot be a bar (unless `leave_out`), or when a stored bar differs (409, unless
    `wins` says which side stays).
    """
    need_trader()
    check_wins(query.wins)
    if request.mimetype not in KINDS_OF_FILES:
        return answer(415, f"Send the file as {', '.join(KINDS_OF_FILES[:2])}, or application/octet-stream.")
    from storage_core.bar_upload_errors import BadUpload

    try:
        return _uploaded(query)
    except BadUpload as error:
        return _refused(error.field, error.problem)


def _uploaded(query: UploadQuery) -> Response:
    from storage_core.bar_upload import Reading, report
    from storage_core.bar_upload_sniff import sniff

    with bar_upload_files.received(settings(), _pieces()) as path:
        looked = sniff(path, "body")
        reading = Reading(
            query.symbol, query.timeframe, looked.mapping, query.zone, looked.decimal, leave_out=query.leave_out
        )
        found = report(bar_store(), path, looked, reading)
        if found.problems:
            first = [f"row {row:,}: {why}" for row, why in found.checked.bad[:5]]
            return _refused("body", "; ".join([*found.problems, *first]))
        plan = found.plan
        if plan.conflicts and query.wins is None:
            return _differ(plan)
        if not query.dry_run:
            try:
                _, plan = bar_store().merge_planned(query.symbol, query.timeframe, found.checked.bars, wins=query.wins)
            except BarConflicts as error:  # others were stored since the report was made
                return _differ(error.plan)
            audit("bars.uploaded", f"{query.symbol} {query.timeframe}", rows=found.checked.rows)
            db.session.commit()
    said = UploadReport(
        symbol=query.symbol, timeframe=query.timeframe, rows=found.checked.rows, added=plan.added, same=plan.same,
        conflicts=plan.conflicts, bad_rows=found.checked.bad_count, quality=found.quality.word, first=found.first,
        last=found.last, stored=not query.dry_run,
    )  # fmt: skip
    return to_json(said)


def _differ(plan: MergePlan) -> Response:
    shown = [{"timestamp": one.at.isoformat(), "stored": one.stored, "new": one.new} for one in plan.examples]
    return problem("bars_differ", f"{plan.conflicts:,} stored bars differ; say which side wins.", examples=shown)


@blueprint.post("/data/fetch", tags=[CATALOGUE], responses=answers({202: JobStatus}, 400, 413, 415, 422))
def fetch_data(query: Nothing, body: FetchBody) -> Response:
    """Fetch bars from an exchange: a job, which goes on where it stopped."""
    need_trader()
    try:
        job = start_fetch(body.model_dump())
    except BadFilter as error:
        errors = [{"field": error.field, "message": f"{error}", "allowed": error.allowed}]
        return problem("invalid_request", f"{error}", errors=errors)
    return to_json(JobStatus.model_validate(job), 202, {"Location": url_for("api.job_status", job_id=job.job_id)})


@blueprint.get("/jobs/<uuid:job_id>", tags=[CATALOGUE], responses=answers({200: JobStatus}, 404, 422))
def job_status(path: JobPath, query: Nothing) -> Response:
    """Ask how far a fetch is."""
    job = _job(path.job_id)
    return answer(404) if job is None else to_json(JobStatus.model_validate(job))


@blueprint.post("/jobs/<uuid:job_id>/cancel", tags=[CATALOGUE], responses=answers({202: JobStatus}, 404, 409, 422))
def cancel_job(path: JobPath, query: Nothing) -> Response:
    """Stop a fetch; what it has stored stays."""
    need_trader()
    if _job(path.job_id) is None:
        return answer(404)
    try:
        job = jobs.cancel(db.session(), path.job_id)
    except JobEnded as error:
        db.session.rollback()
        return problem("job_ended", f"{error}.")
    db.session.commit()
    return to_json(JobStatus.model_validate(job), 202)


def _job(job_id: UUID) -> Job | None:
    """A fetch that the person may see."""
    try:
        job = jobs.get(db.session(), job_id)
    except JobNotFound:
        return None
    return job if job.kind == KIND and may_stop(job) else None


def _refused(field: str, said: str) -> Response:
    errors = [{"field": field, "message": said, "allowed": "see docs/data.md"}]
    return problem("invalid_request", f"{said[:1].upper()}{said[1:]}.", errors=errors)


def _pieces() -> Iterator[bytes]:
    while piece := request.stream.read(PIECE):
        yield piece
