"""The tables. Importing this package registers them with `Base.metadata`; `indexes` adds what only migrations need."""

from storage_core.models.alert import Alert
from storage_core.models.api_token import SCOPES, ApiToken
from storage_core.models.audit import AuditEntry
from storage_core.models.backtest import STATUSES, Backtest
from storage_core.models.bar_file import BarFile
from storage_core.models.custom_strategy import CustomStrategy
from storage_core.models.event import BacktestEvent
from storage_core.models.idempotency_key import IdempotencyKey
from storage_core.models.job import Job
from storage_core.models.preset import Preset
from storage_core.models.process import Process
from storage_core.models.saved_view import SavedView
from storage_core.models.schedule import INTERVALS, Schedule
from storage_core.models.user import LANGUAGES, ROLES, THEMES, User

__all__ = [
    "INTERVALS",
    "LANGUAGES",
    "ROLES",
    "SCOPES",
    "STATUSES",
    "THEMES",
    "Alert",
    "ApiToken",
    "AuditEntry",
    "Backtest",
    "BacktestEvent",
    "BarFile",
    "CustomStrategy",
    "IdempotencyKey",
    "Job",
    "Preset",
    "Process",
    "SavedView",
    "Schedule",
    "User",
]  # fmt: skip
