"""`flask bars`: the stored bars from the terminal."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup, with_appcontext

from storage_core.bar_names import WINS
from storage_core.bar_store import TIMEFRAMES, Coverage
from storage_core.bar_upload_errors import BadUpload
from webapp.audit import audit
from webapp.commands.terminal import FINDINGS, Instant, problems, say, say_json
from webapp.extensions import bar_store, db
from webapp.filters import count, file_size

bars = AppGroup("bars", help="List, import, fetch, check and delete stored bars.\n\nExample: flask bars list")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
TIMEFRAME = click.Choice(list(TIMEFRAMES))


@bars.command("list")
@AS_JSON
@with_appcontext
def list_bars(as_json: bool) -> None:
    """List what is stored of each symbol and timeframe.

    Example: flask bars list
    """
    with problems():
        found, damaged = bar_store().scan()
    if as_json:
        say_json({"bars": [_facts(one) for one in found], "damaged": [str(error) for error in damaged]})
    for one in [] if as_json else found:
        word = one.quality.word if one.quality else "not checked"
        say(f"{one.symbol:<14}{one.timeframe:>4} {count(one.rows):>12}  {one.first:%Y-%m-%d} to {one.last:%Y-%m-%d}"
            f"  {file_size(one.bytes):>8}  {word}")  # fmt: skip
    for error in damaged:
        say(f"{error}", err=True)
    if not found and not damaged and not as_json:
        say("No bars are stored yet: flask bars fetch, or flask bars import.")
    sys.exit(FINDINGS if damaged else 0)


@bars.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--symbol", default=None, help="Such as KRW-BTC; else what the name of the file says.")
@click.option("--timeframe", type=TIMEFRAME, default=None, help="Else what the name of the file says.")
@click.option("--zone", default="UTC", show_default=True, help="Time zone of times that name none.")
@click.option("--column", "columns", multiple=True, metavar="OURS=THEIRS", help="Such as close=trade_price.")
@click.option("--leave-out", is_flag=True, help="Leave out rows that cannot be bars.")
@click.option("--wins", type=click.Choice(WINS), default=None, help="Whose bars stay where they differ.")
@click.option("--dry-run", is_flag=True, help="Report, and store nothing.")
@AS_JSON
@with_appcontext
def import_bars(file: Path, as_json: bool, **asked: Any) -> None:
    """Store the bars of a CSV or Parquet FILE, after a report. Ends with status 1 when something stops it.

    Example: flask bars import KRW-BTC_1h.csv --dry-run
    """
    from storage_core.bar_upload import Reading, report
    from storage_core.bar_upload_sniff import sniff

    with problems():
        looked = sniff(file, file.name)
        mapping = {**looked.mapping, **dict(_pair(one) for one in asked["columns"])}
        reading = Reading(
            symbol=asked["symbol"] or looked.symbol,
            timeframe=asked["timeframe"] or looked.timeframe,
            mapping=mapping, zone=asked["zone"], decimal=looked.decimal, leave_out=asked["leave_out"],
        )  # fmt: skip
        found = report(bar_store(), file, looked, reading)
        stops = list(found.problems)
        if found.plan.conflicts and asked["wins"] is None:
            stops.append(f"{found.plan.conflicts:,} bars differ from those stored: say --wins stored or --wins new")
        stored = not stops and not asked["dry_run"]
        if stored:
            bar_store().merge(reading.symbol, reading.timeframe, found.checked.bars, wins=asked["wins"])
            audit("bars.uploaded", f"{reading.symbol} {reading.timeframe}", file=file.name, rows=found.checked.rows)
            db.session.commit()
    facts = {
        "symbol": reading.symbol, "timeframe": reading.timeframe, "rows": found.checked.rows,
        "added": found.plan.added, "same": found.plan.same, "conflicts": found.plan.conflicts,
        "bad_rows": found.checked.bad_count, "quality": found.quality.word, "stored": stored, "problems": stops,
    }  # fmt: skip
    _say(facts, as_json)
    for row, why in [] if as_json else found.checked.bad:
        say(f"row {row:,}: {why}", err=True)
    sys.exit(FINDINGS if stops else 0)


@bars.command("fetch")
@click.argument("exchange")
@click.argument("symbol")
@click.argument("timeframe", type=TIMEFRAME)
@click.option("--start", type=Instant(), default=None, help="First day (UTC); else where the stored bars end.")
@click.option("--end", type=Instant(), default=None, help="Day after the last (UTC); else as far as bars are closed.")
@click.option("--wins", type=click.Choice(WINS), default="stored", show_default=True, help="Where bars differ.")
@AS_JSON
@with_appcontext
def fetch(exchange: str, symbol: str, timeframe: str, as_json: bool, **asked: Any) -> None:
    """Fetch bars of SYMBOL from EXCHANGE (upbit, binance, or ccxt:NAME) and wait until they are stored.

    A worker does it, as when the page asks for it; Ctrl-C cancels it, and what it has stored stays.

    Example: flask bars fetch upbit KRW-BTC 1h --start 2024-01-01
    """
    from storage_core import jobs
    from storage_core.fetch_request import KIND, parse_fetch

    raw = {"exchange": exchange, "symbol": symbol, "timeframe": timeframe, **asked}
    with problems():
        request = parse_fetch(raw, inventory=bar_store().inventory(), now=datetime.now(UTC))
        job = jobs.create(db.session(), kind=KIND, args=request.as_args())
        db.session.commit()
        ended = _follow(job.job_id, None if as_json else say)
    facts = {"job_id": str(ended.job_id), "status": ended.status, "error": ended.error_message, **ended.outcome}
    _say({name: value for name, value in facts.items() if name != "examples"}, as_json)
    sys.exit(0 if ended.status == "completed" else FINDINGS)


@bars.command("check")
@click.argument("symbol", required=False)
@click.argument("timeframe", type=TIMEFRAME, required=False)
@AS_JSON
@with_appcontext
def check(symbol: str | None, timeframe: str | None, as_json: bool) -> None:
    """Read every stored bar again and say how good they are. Ends with status 1 when some cannot be read.

    Example: flask bars check KRW-BTC
    """
    from storage_core.bar_quality import quality_of
    from storage_core.bar_table import fingerprint
    from storage_core.errors import BarsDamaged

    found, damaged = bar_store().scan()
    facts, errors = [], [str(error) for error in damaged]
    for one in found:
        if (symbol and one.symbol != symbol.upper()) or (timeframe and one.timeframe != timeframe):
            continue
        try:
            stored = bar_store().read(one.symbol, one.timeframe)
        except BarsDamaged as error:
            errors.append(f"{error}")
            continue
        quality = quality_of(stored, TIMEFRAMES[one.timeframe])
        changed = bool(one.fingerprint) and one.fingerprint != fingerprint(stored)
        facts.append({"symbol": one.symbol, "timeframe": one.timeframe, "word": quality.word, **quality.as_dict()})
        if changed:
            errors.append(f"the bars of {one.symbol} {one.timeframe} are not those that were stored")
    if as_json:
        say_json({"bars": facts, "problems": errors})
    for each in [] if as_json else facts:
        said = ", ".join(f"{each[name]:,} {words}" for name, words in FIGURES.items() if each[name]) or "nothing to say"
        say(f"{each['symbol']:<14}{each['timeframe']:>4}  {each['word']:<5} {said}")
    for text in errors:
        say(text, err=True)
    sys.exit(FINDINGS if errors else 0)


FIGURES = {
    "missing_bars": "missing", "gaps": "gaps", "zero_volume_bars": "without volume", "jump_count": "jumps",
    "off_grid_bars": "off the timeframe",
}  # fmt: skip


@bars.command("delete")
@click.argument("symbol")
@click.argument("timeframe", type=TIMEFRAME)
@click.option("--yes", is_flag=True, help="Do not ask; needed when results used the bars and nobody is there to ask.")
@AS_JSON
@with_appcontext
def delete(symbol: str, timeframe: str, yes: bool, as_json: bool) -> None:
    """Delete all bars of SYMBOL and TIMEFRAME, after saying how many results used them.

    Example: flask bars delete KRW-BTC 1h
    """
    from storage_core.bar_uses import count_uses

    with problems():
        found = bar_store().coverage(symbol, timeframe)
        uses = count_uses(db.session(), symbol, timeframe)
        if not yes:
            click.confirm(f"Delete {found.rows:,} bars of {symbol} {timeframe}, used by {uses:,} results?", abort=True)
        bar_store().delete(symbol, timeframe)
        audit("bars.deleted", f"{symbol} {timeframe}")
        db.session.commit()
    _say({"symbol": symbol, "timeframe": timeframe, "deleted": found.rows, "used_by_results": uses}, as_json)


def _follow(job_id: Any, say_phase: Callable[[str], None] | None) -> Any:
    """Send the job and wait for its end; Ctrl-C cancels it."""
    from storage_core import jobs
    from storage_core.db import session_scope
    from webapp.extensions import broker
    from workers.errors import BrokerDown
    from workers.queue import send_job

    try:
        send_job(broker(), job_id)
    except BrokerDown as error:
        say(f"{error}; the clock will send it", err=True)
    last, pause = "", threading.Event()
    try:
        while True:
            with session_scope(db.engine) as session:
                job = jobs.get(session, job_id)
            if job.status not in ("queued", "running"):
                return job
            line = f"{100 * job.progress:.0f}% {job.phase}".strip() if job.phase else job.status
            if say_phase is not None and line != last:
                say_phase(line)
            last = line
            pause.wait(0.5)
    except KeyboardInterrupt:
        with session_scope(db.engine) as session:
            jobs.cancel(session, job_id)
        raise click.Abort from None


def _facts(one: Coverage) -> dict[str, Any]:
    quality = one.quality.as_dict() if one.quality else None
    return {
        "symbol": one.symbol, "timeframe": one.timeframe, "rows": one.rows, "first": one.first.isoformat(),
        "last": one.last.isoformat(), "bytes": one.bytes, "fingerprint": one.fingerprint or None, "quality": quality,
    }  # fmt: skip


def _pair(text: str) -> tuple[str, str]:
    ours, separator, theirs = text.partition("=")
    if not separator:
        raise BadUpload(f"--column {text} is not of the form close=trade_price")
    return ours, theirs


def _say(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say_json(facts)
        return
    for name, value in facts.items():
        if value not in (None, [], ""):
            shown = "; ".join(value) if isinstance(value, list) else json.dumps(value) if value is True else value
            say(
                f"{name.replace('_', ' '):<16} {shown:,}"
                if type(shown) is int
                else f"{name.replace('_', ' '):<16} {shown}"
            )
