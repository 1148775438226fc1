"""Files of bars: sent, looked at, reported on, and only then saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import IO, TYPE_CHECKING, Any
from uuid import UUID

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from storage_core import bar_upload_files
from storage_core.bar_errors import BarConflicts
from storage_core.bar_names import COLUMNS
from storage_core.bar_store import TIMEFRAMES
from storage_core.bar_upload_errors import BadUpload, UploadGone
from storage_core.bar_upload_files import LARGEST, Upload
from storage_core.bar_upload_sniff import Sniffed, sniff
from webapp.audit import audit
from webapp.context.data import quality_words
from webapp.errors import answer
from webapp.extensions import bar_store, db, settings
from webapp.fetching import check_wins
from webapp.htmx import go_to, is_htmx, vary
from webapp.login import need_trader, person
from webapp.phrases import sentence

if TYPE_CHECKING:
    from storage_core.bar_upload import Reading, Report

blueprint = Blueprint("data_upload", __name__, url_prefix="/data/uploads")
PIECE = 1_000_000


@blueprint.post("")
def upload() -> AnyResponse:
    """Take the file, look at its first bytes, and go on to the questions."""
    need_trader()
    sent = request.files.get("file")
    try:
        if sent is None or not sent.filename:
            raise BadUpload("choose a file first")
        with closing(sent), bar_upload_files.received(settings(), _pieces(sent.stream)) as path:
            sniff(path, sent.filename)
            kept = bar_upload_files.keep(settings(), path, name=sent.filename, owner_id=person().id)
    except BadUpload as error:
        return _not_taken(error.problem)
    return go_to(url_for("data_upload.page", upload_id=kept.upload_id))


@blueprint.get("/<uuid:upload_id>")
def page(upload_id: UUID) -> AnyResponse:
    """The first rows, what is what, and what saving would do; the answers are in the address."""
    need_trader()
    context = _context(_find(upload_id), dict(request.args))
    name = "data/_reading.html" if is_htmx() else "data/upload.html"
    return vary(make_response(render_template(name, **context)))


@blueprint.post("/<uuid:upload_id>/save")
def save(upload_id: UUID) -> AnyResponse:
    """Store the bars, as the report said."""
    need_trader()
    kept, values = _find(upload_id), dict(request.form)
    wins = values.get("wins") or None
    check_wins(wins)
    context = _context(kept, values)
    found: Report | None = context["report"]
    if found is None or found.problems or wins not in (None, "stored", "new"):
        return vary(make_response(render_template("data/upload.html", **context), 422))
    reading: Reading = context["reading"]
    try:
        bars, which = found.checked.bars, (reading.symbol, reading.timeframe)
        done = bar_store().merge_planned(*which, bars, wins=wins)[1]  # type: ignore[arg-type]
    except BarConflicts:
        context["errors"]["wins"] = _("Say which side wins where bars differ.")
        return vary(make_response(render_template("data/upload.html", **context), 422))
    audit("bars.uploaded", f"{reading.symbol} {reading.timeframe}", file=kept.name, rows=found.checked.rows)
    db.session.commit()
    bar_upload_files.drop(settings(), kept)
    flash(_("%(name)s is saved: %(added)s bars added.", name=kept.name, added=f"{done.added:,}"))
    return go_to(url_for("data.detail", symbol=reading.symbol, timeframe=reading.timeframe))


@blueprint.post("/<uuid:upload_id>/discard")
def discard(upload_id: UUID) -> AnyResponse:
    """Forget the file."""
    need_trader()
    bar_upload_files.drop(settings(), _find(upload_id))
    return go_to(url_for("data.page"))


@blueprint.errorhandler(UploadGone)
def gone(error: UploadGone) -> AnyResponse:
    """Saved, given up or too old, perhaps a moment ago."""
    return answer(404, sentence(str(error)))


def _find(upload_id: UUID) -> Upload:
    return bar_upload_files.find(settings(), upload_id, owner_id=person().id)


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := stream.read(PIECE):
        yield piece


def _not_taken(problem: str) -> AnyResponse:
    said = sentence(problem)
    if is_htmx():
        return make_response(render_template("data/_upload.html", upload_error=said), 422)
    flash(said)
    return redirect(url_for("data.page"), 303)


def _context(kept: Upload, values: dict[str, str]) -> dict[str, Any]:
    """The form, filled in with answers or guesses, and the report where they make one."""
    errors: dict[str, str] = {}
    found: Report | None = None
    with bar_upload_files.opened(settings(), kept) as path:
        looked = sniff(path, kept.name)
        reading = _reading(values, looked)
        try:
            from storage_core.bar_upload import report

            found = report(bar_store(), path, looked, reading)
        except BadUpload as error:
            if values or error.field == "file":
                errors[error.field] = sentence(error.problem)
    words = quality_words(found.quality, reading.timeframe) if found else []
    return {
        "upload": kept, "looked": looked, "reading": reading, "errors": errors, "report": found, "words": words,
        "ours": COLUMNS, "timeframes": list(TIMEFRAMES), "wins": values.get("wins", ""), "limit": LARGEST,
        "zones": list(dict.fromkeys(["UTC", person().timezone, "Asia/Seoul"])),
    }  # fmt: skip


def _reading(values: dict[str, str], looked: Sniffed) -> Reading:
    given = {name: values.get(name, "")[:200] for name in values}
    mapping = {name: given.get(f"column.{name}", looked.mapping.get(name, "")) for name in COLUMNS}
    from storage_core.bar_upload import Reading

    return Reading(
        symbol=given.get("symbol", looked.symbol).strip().upper(),
        timeframe=given.get("timeframe", looked.timeframe),
        mapping={name: column for name, column in mapping.items() if column},
        zone=given.get("zone", "UTC"),
        decimal="," if given.get("decimal", looked.decimal) == "," else ".",
        leave_out=given.get("leave_out") == "on",
    )
