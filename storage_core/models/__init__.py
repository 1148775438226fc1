"""The tables. Importing this package registers all of them with `Base.metadata`."""

from storage_core.models.api_token import SCOPES, ApiToken
from storage_core.models.backtest import STATUSES, Backtest
from storage_core.models.custom_strategy import CustomStrategy
from storage_core.models.event import BacktestEvent
from storage_core.models.idempotency_key import IdempotencyKey
from storage_core.models.user import ROLES, THEMES, User

__all__ = [
    "ROLES", "SCOPES", "STATUSES", "THEMES", "ApiToken", "Backtest", "BacktestEvent", "CustomStrategy",
    "IdempotencyKey", "User",
]  # fmt: skip
