"""Alembic's entry: runs under `flask db ...` and under `storage_core.migrate.upgrade`, on PostgreSQL and SQLite."""

from __future__ import annotations

import logging
import warnings
from logging.config import fileConfig
from typing import Any

from alembic import context
from sqlalchemy.engine import make_url

import storage_core.models.indexes  # noqa: F401  tables and indexes register themselves with Base.metadata
from storage_core.db import Base, Json, UtcDateTime, make_engine
from storage_core.migrate import migrating

config = context.config
log = logging.getLogger("alembic.env")
OF_EXPRESSIONS = {
    index.name for table in Base.metadata.tables.values() for index in table.indexes if index.info.get("of_expression")
}


def database_url() -> str:
    """The address in the config's attributes, else that of the Flask app this runs in."""
    url = config.attributes.get("database_url")
    if url is None:
        from flask import current_app

        url = current_app.extensions["migrate"].db.engine.url.render_as_string(hide_password=False)
    return str(url)


def belongs(thing: Any, name: str | None, kind: str, reflected: bool, compare_to: Any) -> bool:
    """Whether the comparison looks at this: not at an index that is only for the other database, or of an expression.

    SQLite does not say what the expressions of its indexes are, and PostgreSQL says it in words of its own.
    """
    if kind == "index" and name in OF_EXPRESSIONS:
        return False
    only = thing.info.get("only") if kind == "index" and not reflected else None
    return only in (None, make_url(database_url()).get_backend_name())


def drop_empty(_context: Any, _revision: Any, directives: list[Any]) -> None:
    """No new file when nothing has changed."""
    if getattr(config.cmd_opts, "autogenerate", False) and directives[0].upgrade_ops.is_empty():
        directives.clear()
        log.info("No changes in schema detected.")


def render(kind: str, thing: Any, _context: Any) -> str | bool:
    """Our own column types by their names, which script.py.mako imports."""
    if kind == "type" and isinstance(thing, UtcDateTime):
        return "UtcDateTime()"
    if kind == "type" and isinstance(thing, Json):
        return "JsonB"
    return False


OPTIONS: dict[str, Any] = {
    "target_metadata": Base.metadata,
    "compare_type": True,
    "render_as_batch": True,
    "include_object": belongs,
    "render_item": render,
    "process_revision_directives": drop_empty,
}


def run_offline() -> None:
    """Print the statements instead of running them."""
    context.configure(url=database_url(), literal_binds=True, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    """Run what is missing, in one transaction and alone."""
    engine = make_engine(database_url())
    try:
        with migrating(engine) as connection, warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*expression-based index")
            context.configure(connection=connection, **OPTIONS)
            context.run_migrations()
    finally:
        engine.dispose()


if "database_url" not in config.attributes and not logging.getLogger().handlers:
    fileConfig(str(config.config_file_name), disable_existing_loggers=False)

if context.is_offline_mode():
    run_offline()
else:
    run_online()
