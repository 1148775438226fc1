"""A real broker for the tests of the workers."""

from collections.abc import Iterator

import pytest
import redis

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
