"""The queue from the terminal: who waits and who works, dead letters, and running a backtest again to verify it."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from uuid import UUID

import click
from flask.cli import with_appcontext

from storage_core import processes
from storage_core.errors import StorageError
from storage_core.models import Process
from storage_core.queue_report import flows
from storage_core.verification import create_verification
from webapp.commands.terminal import FINDINGS, say_json
from webapp.extensions import broker, db
from webapp.filters import duration
from workers.errors import BrokerDown

# What asks the queue server is loaded where it is used: its client takes longer to load than most commands to run.

json_option = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")


@click.command("queue-status")
@json_option
@with_appcontext
def queue_status(as_json: bool) -> None:
    """Say what is queued and running for whom, and which workers and clocks live.

    Ends with status 1 when something waits and no worker lives.

    Example: flask queue-status --json
    """
    now, session = datetime.now(UTC), db.session()
    lines, living = flows(session), processes.alive(session, now)
    if as_json:
        say_json(_plain({"flows": [asdict(line) for line in lines], "processes": [_facts(one) for one in living]}))
    else:
        for line in lines:
            age = duration((now - line.waiting_since).total_seconds()) if line.waiting_since else "-"
            click.echo(f"{line.owner or 'nobody'}, {line.lane}: {line.running} running, {line.queued} queued, {age}")
        for one in living:
            click.echo(f"{one.kind} {one.name} works on {one.task_id or 'nothing'}")
        if not lines:
            click.echo("Nothing waits and nothing runs.")
    if any(line.queued for line in lines) and not any(one.kind == "worker" for one in living):
        click.echo("No worker gives a sign of life.", err=True)
        sys.exit(FINDINGS)


def _facts(process: Process) -> dict[str, object]:
    names = ("name", "kind", "version", "started_at", "seen_at", "task_id")
    return {name: getattr(process, name) for name in names}


def _plain(report: dict[str, object]) -> dict[str, object]:
    """Instants in ISO 8601, ids as text."""
    found: dict[str, object] = json.loads(json.dumps(report, default=_as_text))
    return found


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


@click.group("dead-letters")
def dead_letters() -> None:
    """Backtests that failed in every attempt.

    Example: flask dead-letters list --traceback
    """


@dead_letters.command("list")
@click.option("--traceback", is_flag=True, help="Show where in the code it happened.")
@json_option
@with_appcontext
def list_command(traceback: bool, as_json: bool) -> None:
    """List them, the newest first.

    Example: flask dead-letters list --traceback
    """
    from workers.dead_letters import list_dead

    with plain_errors():
        letters = list_dead(broker())
    if as_json:
        say_json(_plain({"dead_letters": [asdict(letter) for letter in letters]}))
        return
    for letter in letters:
        click.echo(f"{letter.at:%Y-%m-%d %H:%M:%S} {letter.task_id} attempt {letter.attempt} {letter.code}")
        click.echo(f"    {letter.reason}")
        if traceback and letter.traceback:
            click.echo(letter.traceback.rstrip())
    if not letters:
        click.echo("There are no dead letters.")


@dead_letters.command("retry")
@click.argument("task_id", type=click.UUID, required=False)
@click.option("--all", "every", is_flag=True, help="Every dead letter.")
@with_appcontext
def retry_command(task_id: UUID | None, every: bool) -> None:
    """Queue TASK_ID again, with all its attempts to come. Any failed backtest can be named.

    Example: flask dead-letters retry --all
    """
    from workers.dead_letters import retry_dead

    with plain_errors():
        chosen = _chosen(task_id, every=every)
        queued = retry_dead(db.engine, broker(), chosen, by=console())
    for one in chosen:
        click.echo(f"{one} is queued again." if one in queued else f"{one} is not failed; nothing was queued.")


@dead_letters.command("discard")
@click.argument("task_id", type=click.UUID, required=False)
@click.option("--all", "every", is_flag=True, help="Every dead letter.")
@with_appcontext
def discard_command(task_id: UUID | None, every: bool) -> None:
    """Remove the dead letter of TASK_ID; the backtest stays failed.

    Example: flask dead-letters discard --all
    """
    from workers.dead_letters import discard_dead

    with plain_errors():
        chosen = _chosen(task_id, every=every)
        removed = discard_dead(db.engine, broker(), chosen, by=console())
    for one in chosen:
        click.echo(f"{one} was discarded." if one in removed else f"{one} has no dead letter.")


@click.command("verify")
@click.argument("task_id", type=click.UUID)
@with_appcontext
def verify(task_id: UUID) -> None:
    """Run TASK_ID again and compare the result bit for bit with the stored one; prints the new backtest's id.

    Example: flask verify 6f1c9a52-3f0e-4a7b-9c55-0d1e2f3a4b5c
    """
    from workers.queue import send_backtest

    with plain_errors():
        again = create_verification(db.session(), task_id, owner_id=None, by=console())
        db.session.commit()
        send_backtest(broker(), again.task_id)
    click.echo(f"{again.task_id} runs; its page says what it found.")


def console() -> str:
    """Who is at the terminal, as the log of a backtest and the audit log name them."""
    return f"console ({getpass.getuser()})"


def _chosen(task_id: UUID | None, *, every: bool) -> list[UUID]:
    from workers.dead_letters import list_dead

    if every == (task_id is not None):
        raise click.UsageError("Give a TASK_ID, or --all.")
    return [task_id] if task_id is not None else list(dict.fromkeys(one.task_id for one in list_dead(broker())))


@contextmanager
def plain_errors() -> Iterator[None]:
    """What can go wrong here, as one sentence and exit status 1."""
    try:
        yield
    except (BrokerDown, StorageError) as error:
        raise click.ClickException(f"{error}") from error
