"""One line of a list of backtests, as the templates see it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TypedDict
from uuid import UUID

from flask_babel import gettext as _

from engine.catalog import Catalog
from storage_core.backtests import MAX_ATTEMPTS
from storage_core.models import Backtest
from webapp.columns import DEFAULT_COLUMNS, STATE, Cell, ParamWords, chosen, short_symbols
from webapp.filters import ago, utc_title
from webapp.phrases import said, strategy_name

__all__ = ["ACTIVE", "Row", "ctx_row", "short_symbols"]

ACTIVE: Final = ("queued", "running")
SURE_ENOUGH: Final = 0.02
LONGEST_VALUE: Final = 32


class Row(TypedDict):
    """A backtest in a list: what is always there, and the cells of the chosen columns."""

    id: UUID
    strategy: str
    symbols: str
    timeframe: str
    status: str
    active: bool
    pinned: bool
    shared: bool
    owner: str
    tags: Sequence[str]
    progress: float
    state: str
    error: str
    before: Sequence[Cell]
    results: Sequence[Cell]
    after: Sequence[Cell]
    width: int
    created_at: str
    ago: str
    utc: str


def ctx_row(
    backtest: Backtest,
    now: datetime,
    catalog: Catalog,
    *,
    columns: tuple[str, ...] = DEFAULT_COLUMNS,
    owner: str = "",
) -> Row:
    """The line of one backtest; `owner` is named when it is somebody else."""
    before, results, after = chosen(columns)
    params = ParamWords(short_params(catalog, backtest.strategy, backtest.params), all_params(backtest.params))
    done = backtest.status == "completed"
    active = backtest.status in ACTIVE
    return {
        "id": backtest.task_id,
        "strategy": strategy_name(backtest.strategy),
        "symbols": short_symbols(backtest.symbols),
        "timeframe": backtest.timeframe,
        "status": backtest.status,
        "active": active,
        "pinned": backtest.pinned,
        "shared": backtest.shared,
        "owner": owner,
        "tags": backtest.tags,
        "progress": backtest.progress,
        "state": state_words(backtest, now) if active else "",
        "error": said(backtest.error_message or ""),
        "before": [column.cell(backtest, params) for column in before],
        "results": [column.cell(backtest, params) for column in results or (STATE,)] if done else (),
        "after": [column.cell(backtest, params) for column in after],
        "width": max(len(results), 1),
        "created_at": backtest.created_at.astimezone(UTC).isoformat(),
        "ago": ago(backtest.created_at, now),
        "utc": utc_title(backtest.created_at),
    }


def short_params(catalog: Catalog, strategy: str, params: Mapping[str, object]) -> str:
    """ "defaults", or the values in the order of the catalogue."""
    known = catalog.get(strategy)
    if known is None:
        return ", ".join(clipped(value_words(value)) for value in params.values()) or _("defaults")
    if all(params.get(param.name, param.default) == param.default for param in known.params):
        return _("defaults")
    return ", ".join(clipped(value_words(params.get(param.name, param.default))) for param in known.params)


def params_words(catalog: Catalog, strategy: str, params: Mapping[str, object]) -> str:
    """ "default params", or every parameter with its name."""
    if not params:
        return ""
    return _("default params") if short_params(catalog, strategy, params) == _("defaults") else all_params(params)


def all_params(params: Mapping[str, object]) -> str:
    """Every parameter with its name."""
    return ", ".join(f"{name} {value_words(value)}" for name, value in params.items())


def value_words(value: object) -> str:
    """A parameter's value: yes or no for truth, the fewest digits for numbers, JSON for what holds others."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def clipped(text: str) -> str:
    """A value as far as a line of a table has room for it; its tooltip and the setup of the backtest hold all of it."""
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1].rstrip()}…"


def seconds_left(backtest: Backtest, now: datetime) -> float | None:
    """How long a running backtest will still take at its pace so far; None while that is a guess."""
    if backtest.status != "running" or backtest.started_at is None or backtest.progress < SURE_ENOUGH:
        return None
    elapsed = (now - backtest.started_at).total_seconds()
    return max(elapsed * (1 - backtest.progress) / backtest.progress, 0.0)


def state_words(backtest: Backtest, now: datetime) -> str:
    """What an active backtest is doing: 62% · simulating · 3 s left."""
    tries = backtest.attempt - backtest.excused
    if backtest.status == "queued":
        if tries == 0:
            return _("waiting for a worker")
        return _("waiting for attempt %(n)s of %(most)s", n=tries + 1, most=MAX_ATTEMPTS)
    if backtest.cancel_requested_at is not None and backtest.status == "running":
        return _("stopping")
    words = [_("attempt %(n)s of %(most)s", n=tries, most=MAX_ATTEMPTS)] if tries > 1 else []
    words += [f"{backtest.progress:.0%}", said(backtest.phase) or _("starting")]
    left = seconds_left(backtest, now)
    if left is not None and left >= 1:
        words.append(_("%(n)s s left", n=f"{left:.0f}") if left < 90 else _("%(n)s min left", n=f"{left / 60:.0f}"))
    return " · ".join(words)
