"""The extensions, unbound; `init_app` binds them to one application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import Flask, current_app
from flask_compress import Compress
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import LoginManager
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect

from storage_core.bar_store import BarStore
from storage_core.bars import bar_store_for
from storage_core.db import Base, engine_options
from storage_core.settings import Settings
from storage_core.slow_queries import watch_queries

if TYPE_CHECKING:
    from dramatiq.brokers.redis import RedisBroker

LIMITER_STORES: Final = ("redis://", "rediss://")
LIMITER_PATIENCE: Final = {"socket_connect_timeout": 2, "socket_timeout": 2}
"""Seconds that a request waits for it, once, before it is taken to be away."""

db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})
login = LoginManager()
csrf = CSRFProtect()
limiter = Limiter(key_func=get_remote_address, default_limits=[])
compress = Compress()


def configure(app: Flask, settings: Settings) -> None:
    """Put into `app.config` what the extensions read there, and into `app.extensions` what we add."""
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(settings.database_url),
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_NAME="coin_hts",
        WTF_CSRF_CHECK_DEFAULT=False,  # login.py asks for it, after it has looked for a token
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session: a form left open overnight still works
        RATELIMIT_STORAGE_URI=_limiter_store(settings),
        RATELIMIT_STORAGE_OPTIONS=LIMITER_PATIENCE,
        RATELIMIT_IN_MEMORY_FALLBACK_ENABLED=True,  # each process counts by itself while the queue server is away
        RATELIMIT_HEADERS_ENABLED=False,
        COMPRESS_MIN_SIZE=1000,
        MAX_CONTENT_LENGTH=1_000_000,
        MAX_FORM_PARTS=1_000,
    )
    app.extensions["settings"] = settings
    app.extensions["bar_store"] = bar_store_for(settings)


def init_app(app: Flask) -> None:
    """Bind every extension. The order matters where one wraps another's answer."""
    add_database(app)
    csrf.init_app(app)
    limiter.init_app(app)
    compress.init_app(app)


def add_database(app: Flask) -> None:
    """Bind the database alone: all that commands need."""
    db.init_app(app)
    with app.app_context():
        watch_queries(db.engine)


def settings() -> Settings:
    """The settings of the current application."""
    found: Settings = current_app.extensions["settings"]
    return found


def bar_store() -> BarStore:
    """The bars of the current application."""
    found: BarStore = current_app.extensions["bar_store"]
    return found


def broker() -> RedisBroker:
    """The queue of the current application, connected at its first use: the client alone weighs 20 MB in memory."""
    if "broker" not in current_app.extensions:
        from workers.queue import make_broker

        current_app.extensions["broker"] = make_broker(settings().broker_url)
    found: RedisBroker = current_app.extensions["broker"]
    return found


def _limiter_store(settings: Settings) -> str:
    """Counts of several web machines meet in the queue server when it has an address; else one process counts."""
    url = settings.redis_url or ""
    return url if url.startswith(LIMITER_STORES) else "memory://"
