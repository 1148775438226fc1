"""Indexes with options of one kind of database: what only migrations need to know.

`migrations/env.py` imports them, the models do not: an option of PostgreSQL loads all that SQLAlchemy knows of it, 4 MB
in each process that uses SQLite.
"""

from typing import Any

from sqlalchemy import Index, Text, func, literal_column, or_, true, type_coerce

from storage_core.models.alert import Alert
from storage_core.models.backtest import COLLATIONS, METRIC_COLUMNS, NOTE_START, SYMBOLS_START, Backtest


def _index(name: str, *columns: Any, only: str | None = None, where: Any = None, **options: Any) -> None:
    """An index of this table. `only` one kind of database; `info` tells the comparison of `flask db check` so."""
    parts = {} if where is None else {"postgresql_where": where, "sqlite_where": where}
    index = Index(f"ix_backtest_results_{name}", *columns, **parts, **options)
    if only is not None:
        index.ddl_if(dialect=only)
        index.info["only"] = only
    index.info["of_expression"] = "COLLATE" in str(columns[0])


_newest = (Backtest.created_at.desc(), Backtest.task_id.desc())
_best = (Backtest.sharpe.desc().nulls_last(), Backtest.task_id.desc())
_best_sqlite = (Backtest.sharpe.desc(), Backtest.task_id.desc())  # nulls are smallest there, so they are last anyway
_completed = Backtest.status == "completed"

_index("newest", *_newest)
_index("strategy_status_newest", Backtest.strategy, Backtest.status, *_newest)
_index("owner_newest", Backtest.owner_id, *_newest)
_index("unfinished", Backtest.status, Backtest.created_at.desc(), where=Backtest.status != "completed")
_index("turn", Backtest.turn, Backtest.queued_at, where=Backtest.status == "queued")
_index("flow", Backtest.owner_id, Backtest.lane, Backtest.turn, where=Backtest.status == "queued")
_index("run_key", Backtest.run_key, where=Backtest.run_key.is_not(None))
_index("stores", Backtest.stores, where=_completed & Backtest.deleted_at.is_(None))
_index("deleted", Backtest.deleted_at, where=Backtest.deleted_at.is_not(None))
_index("schedule", Backtest.schedule_id, *_newest, where=Backtest.schedule_id.is_not(None))
_index("for_all", *_newest, where=or_(Backtest.shared == true(), Backtest.owner_id.is_(None)))
_index("noted", *_newest, where=Backtest.note != "")
_index("pinned", *_newest, where=Backtest.pinned == true())
_index("sharpe", *_best, where=_completed, only="postgresql", postgresql_include=["total_return_pct"])
_index("strategy_sharpe", Backtest.strategy, *_best, where=_completed, only="postgresql")
_index("return", Backtest.total_return_pct, where=_completed, only="postgresql", postgresql_include=["sharpe"])
_index(
    "symbols",
    Backtest.symbols,
    only="postgresql",
    postgresql_using="gin",
    postgresql_ops={"symbols": "jsonb_path_ops"},
)
_index("tags", Backtest.tags, only="postgresql", postgresql_using="gin", postgresql_ops={"tags": "jsonb_path_ops"})
# SQLite has no index of what a list holds. These let it look for a symbol, a tag or a return in an index that
# it walks anyway, without a look at each row.
_held = (Backtest.symbols, Backtest.tags, Backtest.deleted_at)
_index("held_plain", *_newest, *_held, only="sqlite")
_index("sharpe_plain", *_best_sqlite, *_held, Backtest.total_return_pct, where=_completed, only="sqlite")
_several = func.json_array_length(Backtest.symbols) > 1  # of a symbol alone "by_symbols_plain" tells
_index("held_several_plain", *_newest, Backtest.symbols, Backtest.deleted_at, where=_several, only="sqlite")
for _name in METRIC_COLUMNS:
    if _name != "sharpe":
        _metric = getattr(Backtest, _name)
        _has = _completed & _metric.is_not(None)
        _order = (_metric.desc().nulls_last(), Backtest.task_id.desc())  # said as the list says it, or it is not used
        _index(f"by_{_name}", *_order, where=_has, only="postgresql")
        _index(f"by_{_name}_plain", _metric.desc(), Backtest.task_id.desc(), where=_has, only="sqlite")

# Orders of the list by columns that many rows share: A to Z, the latest period first, and then the newest first. Those
# of SQLite have a collation that only the list asks for: it takes any index that fits a filter, and sorts all it finds.
_shared = {name: getattr(Backtest, name) for name in ("strategy", "timeframe", "status", "source")}
_shared["note"] = literal_column(NOTE_START, Text())
_dates = {name: type_coerce(getattr(Backtest, name), Text()) for name in ("start_date", "end_date")}
for _kind, _start in SYMBOLS_START.items():
    _end = "" if _kind == "postgresql" else "_plain"
    for _name, _text in {**_shared, "symbols": literal_column(_start, Text())}.items():
        _where = Backtest.note != "" if _name == "note" else None
        _index(f"by_{_name}{_end}", _text.collate(COLLATIONS[_kind]), *_newest, only=_kind, where=_where)
for _name, _text in _dates.items():
    _index(f"by_{_name}", getattr(Backtest, _name).desc(), *_newest, only="postgresql")
    _index(f"by_{_name}_plain", _text.collate(COLLATIONS["sqlite"]).desc(), *_newest, only="sqlite")

_open = Alert.resolved_at.is_(None)
Index("uq_alerts_open_key", Alert.key, unique=True, postgresql_where=_open, sqlite_where=_open)
