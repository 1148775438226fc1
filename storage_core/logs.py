"""One log format for every process: lines for people in a terminal, JSON for machines."""

from __future__ import annotations

import logging
import sys

import structlog

LOUD_ONLY = ("dramatiq", "alembic", "werkzeug", "apprise", "mail.log")
"""Loggers of libraries whose everyday lines say nothing that ours do not say."""


def configure_logs(log_format: str, *, process: str) -> None:
    """Send every logger, ours and the libraries', to standard error as `log_format` ("console" or "json").

    `process` (web, worker, clock, supervisor) stands in every line; what is bound with
    `structlog.contextvars.bind_contextvars` (request_id, task_id) too.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _say(process), *_renderer(log_format)],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for chatty in LOUD_ONLY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # People at a terminal want to hear of trouble, not of every page; machines keep every line.
    logging.getLogger("access").setLevel(logging.INFO if log_format == "json" else logging.WARNING)


def current_request_id() -> str:
    """The id of the request that led to what this thread does now; empty when none did.

    The web binds it when a request comes in, a worker when it claims a backtest that was submitted by a request.
    """
    found: str = structlog.contextvars.get_contextvars().get("request_id", "")
    return found


def _say(process: str) -> structlog.typing.Processor:
    def add(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["process"] = process
        return event

    return add


def _renderer(log_format: str) -> list[structlog.typing.Processor]:
    if log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    # Plain tracebacks: the rich ones print every local variable, secrets and whole arrays among them.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
