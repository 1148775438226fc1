"""The queue from the terminal: backtests that failed in every attempt, and running one again to verify it."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import click
from flask.cli import with_appcontext

from storage_core.errors import StorageError
from storage_core.verification import create_verification
from webapp.extensions import broker, db
from workers.dead_letters import discard_dead, list_dead, retry_dead
from workers.errors import BrokerDown
from workers.queue import send_backtest


@click.group("dead-letters")
def dead_letters() -> None:
    """Backtests that failed in every attempt."""


@dead_letters.command("list")
@click.option("--traceback", is_flag=True, help="Show where in the code it happened.")
@with_appcontext
def list_command(traceback: bool) -> None:
    """List them, the newest first."""
    with plain_errors():
        letters = list_dead(broker())
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
    """Queue TASK_ID again, with all its attempts to come. Any failed backtest can be named."""
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
    """Remove the dead letter of TASK_ID; the backtest stays failed."""
    with plain_errors():
        chosen = _chosen(task_id, every=every)
        removed = discard_dead(db.engine, broker(), chosen, by=console())
    for one in chosen:
        click.echo(f"{one} was discarded." if one in removed else f"{one} has no dead letter.")


@click.command("verify")
@click.argument("task_id", type=click.UUID)
@with_appcontext
def verify(task_id: UUID) -> None:
    """Run TASK_ID again and compare the result bit for bit with the stored one; prints the new backtest's id."""
    with plain_errors():
        again = create_verification(db.session(), task_id, owner_id=None, by=console())
        db.session.commit()
        send_backtest(broker(), again.task_id)
    click.echo(f"{again.task_id} runs; its page says what it found.")


def console() -> str:
    """Who is at the terminal, as the log of a backtest and the audit log name them."""
    return f"console ({getpass.getuser()})"


def _chosen(task_id: UUID | None, *, every: bool) -> list[UUID]:
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
