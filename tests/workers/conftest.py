"""A real broker for the tests of the workers."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import redis
import structlog

from tests.exchange_server import ExchangeServer, exchange_server
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


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """For clients of exchanges the clock stands still."""
    from workers.exchanges import client

    monkeypatch.setattr(client, "time", SimpleNamespace(monotonic=lambda: 1_000.0))


@pytest.fixture(scope="session")
def running_exchange() -> Iterator[ExchangeServer]:
    with exchange_server() as server:
        yield server


@pytest.fixture
def server(running_exchange: ExchangeServer) -> ExchangeServer:
    """An exchange on this machine that behaves and has 500 hours of bars."""
    running_exchange.requests.clear()
    running_exchange.behaviours.clear()
    running_exchange.recorded.clear()
    running_exchange.hours = list(range(500))
    return running_exchange


@pytest.fixture
def pauses() -> list[float]:
    """The seconds that a client waited, noted here instead of being waited."""
    return []
