"""A real broker for the tests of the workers."""

from collections.abc import Iterator

import pytest
import redis
import structlog

from tests.services import running_valkey


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    with running_valkey() as url:
        yield url


@pytest.fixture
def broker_url(valkey_url: str) -> str:
    """The broker, emptied."""
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()
    return valkey_url


@pytest.fixture(autouse=True)
def quiet_logs() -> Iterator[None]:
    """Log lines go nowhere: drawing a traceback with every local variable takes seconds."""
    structlog.configure(
        processors=[structlog.processors.JSONRenderer(default=str)], logger_factory=structlog.ReturnLoggerFactory()
    )
    yield
    structlog.reset_defaults()
