"""What a start does once, in a process of its own so that the supervisor stays small: `python -m workers.prepare`.

Brings the schema up to date, puts the sample in place, and prints what the person at the terminal should read.
"""

import sys

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from storage_core.accounts import needs_setup, setup_token
from storage_core.bars import bar_store_for
from storage_core.db import make_engine, session_scope
from storage_core.errors import StorageError
from storage_core.logs import configure_logs
from storage_core.migrate import has_newest_schema, upgrade
from storage_core.sample import install_sample
from storage_core.settings import Settings
from workers.errors import WorkerError
from workers.queue import make_broker
from workers.sample import submit_sample
from workers.valkey import wait_until_ready


def prepare(settings: Settings) -> str:
    """Make everything ready for the other processes; the text for the person at the terminal."""
    engine = make_engine(settings.database_url)
    broker = make_broker(settings.broker_url)
    try:
        if not has_newest_schema(engine):  # which most starts find; Alembic takes a quarter of the time
            upgrade(settings.database_url)
        install_sample(bar_store_for(settings))
        wait_until_ready(settings.broker_url)
        submit_sample(engine, settings, broker)
        return welcome(engine, settings)
    finally:
        broker.close()
        engine.dispose()


def welcome(engine: Engine, settings: Settings) -> str:
    """Where the product is, with the one-time link while nobody has an account."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{settings.port}"
    with session_scope(engine) as session:
        new = needs_setup(session)
    if not new or settings.auth == "none":
        return f"coin-hts runs on {url} (Ctrl-C stops it)\n"
    return (
        f"coin-hts runs on {url} (Ctrl-C stops it)\n"
        f"Create the first account with this one-time link:\n\n    {url}/setup?token={setup_token(settings)}\n\n"
    )


def main() -> int:
    """Print the welcome; 1 with a sentence on standard error when the product cannot start."""
    settings = Settings.from_env()
    configure_logs(settings.log_format, process="prepare")
    try:
        text = prepare(settings)
    except (StorageError, WorkerError, SQLAlchemyError, OSError) as error:
        sys.stderr.write(f"coin-hts cannot start: {error}\n")
        return 1
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
