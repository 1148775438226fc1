"""The door: one check for the form and the API, then the row, then the message."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from flask import current_app
from sqlalchemy.exc import IntegrityError

from engine.catalog import STRATEGIES, Catalog
from engine.spec import BacktestSpec, parse_spec, spec_to_dict
from storage_core import backtests
from storage_core.already_run import ask as find_already_run
from storage_core.bar_store import BarStore, Coverage
from storage_core.errors import NoBars, StorageError
from storage_core.models import Backtest
from webapp.extensions import bar_store, broker, db
from webapp.people import Person
from webapp.ranges import instants, overlaps
from workers.errors import BrokerDown


class BarsMissing(StorageError):
    """Some symbols of a spec have no bars in its range."""

    permanent = True

    def __init__(self, missing: Sequence[NoBars]) -> None:
        self.missing = tuple(missing)
        super().__init__("; ".join(str(error) for error in missing))


def enter(spec: BacktestSpec, *, owner: Person, source: str, task_id: UUID | None = None) -> Backtest:
    """Insert a checked spec, commit, send. With a `task_id` that is there already: that backtest, and nothing else."""
    found = spec_to_dict(spec)
    return enter_once(
        task_id,
        lambda: backtests.create(db.session(), spec=found, owner_id=owner.id, source=source, task_id=task_id),
    )


def enter_once(task_id: UUID | None, insert: Callable[[], Backtest]) -> Backtest:
    """Insert, commit, send; with a `task_id` that is there already: that backtest, and nothing else."""
    session = db.session()
    if task_id is not None and (known := session.get(Backtest, task_id)) is not None:
        return known
    try:
        made = insert()
        session.commit()
    except IntegrityError:
        session.rollback()
        if task_id is None or (known := session.get(Backtest, task_id)) is None:
            raise
        return known  # who sends the same request had waited long enough to go on with it
    return dispatch(made)


def dispatch(backtest: Backtest) -> Backtest:
    """Send the message of a committed row.

    When the queue does not answer the row stays queued: the clock sends it as soon as it can.
    """
    from workers.queue import send_backtest  # with the queue's client, which a process that only reads never loads

    try:
        send_backtest(broker(), backtest.task_id)
    except BrokerDown as error:
        current_app.logger.warning("backtest %s waits in the database: %s", backtest.task_id, error)
    return backtest


def already_run(spec: BacktestSpec, *, by: Person) -> Backtest | None:
    """The person's completed backtest that this spec would only repeat, or None."""
    shipped = STRATEGIES.get(spec.strategy)
    return find_already_run(
        db.session(),
        bar_store(),
        spec_to_dict(spec),
        signals=shipped.signals if shipped is not None else None,
        owner_id=by.sees_owner,
    )


def checked(raw: Mapping[str, object], store: BarStore, catalog: Catalog) -> BacktestSpec:
    """The spec, when it is sound and every symbol has bars in its range."""
    spec = parse_spec(raw, catalog)
    coverage = {(one.symbol, one.timeframe): one for one in store.inventory()}
    start, end = instants(spec.start_date, spec.end_date, spec.timezone)
    missing = []
    for symbol in spec.symbols:
        found = coverage.get((symbol, spec.timeframe))
        if found is None or not overlaps(found, start, end):
            missing.append(NoBars(symbol, spec.timeframe, _available(symbol, spec.timeframe, coverage)))
    if missing:
        raise BarsMissing(missing)
    return spec


def _available(symbol: str, timeframe: str, coverage: Mapping[tuple[str, str], Coverage]) -> str:
    """What there is instead: other ranges of the symbol, else other symbols of the timeframe."""
    own = [one for one in coverage.values() if one.symbol == symbol]
    near = own or [one for one in coverage.values() if one.timeframe == timeframe] or list(coverage.values())
    shown = [f"{one.symbol} {one.timeframe} from {one.first:%Y-%m-%d} to {one.last:%Y-%m-%d}" for one in near[:8]]
    more = f" and {len(near) - 8} more" if len(near) > 8 else ""
    return ", ".join(shown) + more if shown else "no bars at all yet"
