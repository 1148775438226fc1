"""The way through the pages once more on PostgreSQL."""

import pytest

from storage_core.accounts import setup_token
from tests.webapp.test_accounts import FORM as ACCOUNT
from tests.webapp.test_new_backtest import FORM


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """PostgreSQL instead."""
    return postgres_url


def test_from_the_first_account_to_a_cancelled_backtest(visitor, settings, bars):
    visitor.post("/setup", {**ACCOUNT, "token": setup_token(settings)})
    place = visitor.post("/backtests", FORM).location
    assert "waiting for a worker" in visitor.get(place).text
    assert "1 queued" in visitor.get("/").text
    assert visitor.post(f"{place}/cancel").location == place
    assert "Nothing was stored" in visitor.get(place).text
    assert "cancelled" in visitor.get("/backtests").text


def test_a_result_is_read_there_too(admin, completed):
    address = completed()
    for tab in ("", "/chart", "/trades", "/setup"):
        admin.get(address + tab)
    assert admin.json(f"/api/v1/backtests/{address.rpartition('/')[2]}").json["sharpe"] == 1.5812
