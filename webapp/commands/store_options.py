"""The filters of the list as options of commands."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from datetime import date
from typing import Any, TypeVar

import click
from sqlalchemy import select

from storage_core.backtest_filters import Filters, Range
from storage_core.models import STATUSES, User
from storage_core.models.backtest import METRIC_COLUMNS, SOURCES
from webapp.commands.terminal import Instant
from webapp.extensions import db

Command = TypeVar("Command", bound=Callable[..., Any])
MANY = ("strategies", "statuses", "symbols", "timeframes", "tags", "sources")


class MetricRange(click.ParamType[tuple[str, Range]]):
    """NAME=LOW..HIGH, either end open."""

    name = "metric"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[float | None, float | None]]:
        """The stored name and its range."""
        name, _, ends = value.partition("=")
        low, dots, high = ends.partition("..")
        try:
            if name not in METRIC_COLUMNS or not dots:
                raise ValueError
            return name, (float(low) if low else None, float(high) if high else None)
        except ValueError:
            self.fail(f"{value!r} is not NAME=LOW..HIGH with a name of: {', '.join(METRIC_COLUMNS)}", param, ctx)


_DAY = click.DateTime(["%Y-%m-%d"])
_OPTIONS: dict[str, Callable[[Command], Command]] = {
    "strategies": click.option("--strategy", "strategies", multiple=True, metavar="NAME", help="Of this strategy."),
    "statuses": click.option("--status", "statuses", multiple=True, type=click.Choice(STATUSES), help="In this state."),
    "symbols": click.option("--symbol", "symbols", multiple=True, metavar="SYMBOL", help="With this symbol."),
    "timeframes": click.option("--timeframe", "timeframes", multiple=True, metavar="1h", help="Of this timeframe."),
    "tags": click.option("--tag", "tags", multiple=True, metavar="TAG", help="With this tag (several: with all)."),
    "sources": click.option("--source", "sources", multiple=True, type=click.Choice(SOURCES), help="From here."),
    "owner": click.option("--owner", metavar="NAME", help="Submitted by this person."),
    "pinned": click.option("--pinned/--not-pinned", default=None, help="Pinned, or not."),
    "submitted_from": click.option("--submitted-from", type=Instant(), help="Submitted at this date (UTC) or later."),
    "submitted_to": click.option("--submitted-to", type=Instant(), help="Submitted before this date (UTC)."),
    "period_from": click.option("--period-from", type=_DAY, help="Tested period begins on this day or later."),
    "period_to": click.option("--period-to", type=_DAY, help="Tested period ends on this day or earlier."),
    "metrics": click.option(
        "--metric", "metrics", multiple=True, type=MetricRange(), metavar="NAME=LOW..HIGH", help="E.g. sharpe=1.5.."
    ),
    "text": click.option("--text", default="", metavar="TEXT", help="With this text in the note."),
    "deleted": click.option("--deleted", is_flag=True, help="Those marked deleted instead."),
}


def filter_options(*, but: Collection[str] = ()) -> Callable[[Command], Command]:
    """Give a command the options of the list, except those named, as one argument `filters`."""
    names = [name for name in _OPTIONS if name not in but]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_filters(*positional: Any, **given: Any) -> Any:
            asked = {name: given.pop(name) for name in names}
            return command(*positional, filters=_filters(asked), **given)

        made: Any = with_filters
        for name in reversed(names):
            made = _OPTIONS[name](made)
        return made  # type: ignore[no-any-return]

    return decorate


def _filters(asked: dict[str, Any]) -> Filters:
    owner = asked.pop("owner", None)
    if owner is not None:
        asked["owner_id"] = db.session.scalar(select(User.id).where(User.name == owner.strip().lower()))
        db.session.rollback()
        if asked["owner_id"] is None:
            raise click.UsageError(f"nobody is called {owner!r}")
    for name in ("period_from", "period_to"):
        if asked.get(name) is not None:
            asked[name] = _day(asked[name])
    asked["metrics"] = dict(asked.get("metrics", ()))
    return Filters(**asked)


def _day(value: Any) -> date:
    found: date = value.date()
    return found
