"""Every error of the storage: one root, one leaf per situation, the facts as attributes.

`permanent` says whether trying the same again can help: False = perhaps (a busy database, a full disk),
True = never (a missing symbol, a damaged file, a lost claim).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID


class StorageError(Exception):
    """Root of all errors that `storage_core` raises on purpose."""

    permanent: bool = False


class SettingsError(StorageError):
    """An environment variable has a value that cannot work."""

    permanent = True

    def __init__(self, name: str, was: str, allowed: str) -> None:
        self.name, self.was, self.allowed = name, was, allowed
        super().__init__(f"{name} is {was}; allowed: {allowed}")


class BacktestNotFound(StorageError):
    """No backtest has this task_id."""

    permanent = True

    def __init__(self, task_id: UUID) -> None:
        self.task_id = task_id
        super().__init__(f"there is no backtest {task_id}")


class NotCancellable(StorageError):
    """The backtest has already ended."""

    permanent = True

    def __init__(self, task_id: UUID, status: str) -> None:
        self.task_id, self.status = task_id, status
        super().__init__(f"backtest {task_id} is already {status} and cannot be cancelled")


class NotDeletable(StorageError):
    """The backtest is pinned, or has not ended yet."""

    permanent = True

    def __init__(self, task_id: UUID, why: str) -> None:
        self.task_id, self.why = task_id, why
        super().__init__(f"backtest {task_id} cannot be deleted: it {why}")


class NotRestorable(StorageError):
    """The time in which a deletion could be taken back is over."""

    permanent = True

    def __init__(self, task_id: UUID) -> None:
        self.task_id = task_id
        super().__init__(f"backtest {task_id} was deleted too long ago to be restored")


class NotVerifiable(StorageError):
    """Only a completed backtest that was computed here can be run again and compared."""

    permanent = True

    def __init__(self, task_id: UUID, why: str) -> None:
        self.task_id, self.why = task_id, why
        super().__init__(f"backtest {task_id} cannot be verified: it {why}")


class ClaimLost(StorageError):
    """The attempt no longer owns its row: somebody else runs it, or it has ended. Nothing was written."""

    permanent = True

    def __init__(self, task_id: UUID, attempt: int) -> None:
        self.task_id, self.attempt = task_id, attempt
        super().__init__(f"attempt {attempt} of backtest {task_id} no longer holds the claim; nothing was written")


class JobNotFound(StorageError):
    """No job has this id."""

    permanent = True

    def __init__(self, job_id: UUID) -> None:
        self.job_id = job_id
        super().__init__(f"there is no job {job_id}")


class JobEnded(StorageError):
    """The job has already ended and cannot be cancelled."""

    permanent = True

    def __init__(self, job_id: UUID, status: str) -> None:
        self.job_id, self.status = job_id, status
        super().__init__(f"job {job_id} is already {status} and cannot be cancelled")


class JobLost(StorageError):
    """The attempt no longer owns its job: somebody else runs it, or it has ended. Nothing was written."""

    permanent = True

    def __init__(self, job_id: UUID, attempt: int) -> None:
        self.job_id, self.attempt = job_id, attempt
        super().__init__(f"attempt {attempt} of job {job_id} no longer holds the claim; nothing was written")


class BadCursor(StorageError):
    """A page cursor that this product did not make, or one of another sort order."""

    permanent = True

    def __init__(self, cursor: str) -> None:
        self.cursor = cursor
        super().__init__(f"the page cursor {cursor[:80]!r} is not valid; start again at the first page")


class BadFilter(StorageError):
    """A filter, a sort order, a tag or a note that cannot be."""

    permanent = True

    def __init__(self, field: str, was: object, allowed: str) -> None:
        self.field, self.was, self.allowed = field, was, allowed
        super().__init__(f"{field} is {was!r}; allowed: {allowed}")


class AccountError(StorageError):
    """An account cannot be created or changed as asked."""

    permanent = True

    def __init__(self, field: str, was: str, allowed: str) -> None:
        self.field, self.was, self.allowed = field, was, allowed
        super().__init__(f"{field} is {was}; allowed: {allowed}")


class AlreadySetUp(StorageError):
    """The first account exists already."""

    permanent = True

    def __init__(self) -> None:
        super().__init__("the first account has already been created; please log in")


class AccountNotFound(StorageError):
    """No account of a person has this number."""

    permanent = True

    def __init__(self, user_id: int) -> None:
        self.user_id = user_id
        super().__init__(f"there is no account number {user_id}")


class LastAdmin(StorageError):
    """Afterwards nobody could look after the accounts any more."""

    permanent = True

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name} is the last admin who can log in; make somebody else an admin first")


class BadSymbol(StorageError):
    """Not a symbol such as KRW-BTC."""

    permanent = True

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        super().__init__(f"the symbol {symbol[:60]!r} is not valid; write it as quote-base in upper case, e.g. KRW-BTC")


class BadTimeframe(StorageError):
    """Not one of the known timeframes."""

    permanent = True

    def __init__(self, timeframe: str, allowed: Sequence[str]) -> None:
        self.timeframe, self.allowed = timeframe, tuple(allowed)
        super().__init__(f"the timeframe {timeframe[:20]!r} is not valid; allowed: {', '.join(allowed)}")


class NoBars(StorageError):
    """There are no bars of this symbol and timeframe in the range asked for."""

    permanent = True

    def __init__(self, symbol: str, timeframe: str, available: str) -> None:
        self.symbol, self.timeframe, self.available = symbol, timeframe, available
        super().__init__(f"no bars for {symbol} {timeframe}; available: {available}")


class BadBars(StorageError):
    """Bars that cannot be stored: columns of different lengths, times out of order, impossible prices."""

    permanent = True

    def __init__(self, where: str, problem: str) -> None:
        self.where, self.problem = where, problem
        super().__init__(f"bars of {where} cannot be stored: {problem}")


class BarsDamaged(StorageError):
    """A file of bars exists and cannot be read."""

    permanent = True

    def __init__(self, path: Path, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"the bars in {path} cannot be read: {problem}")


class BadTables(StorageError):
    """Result tables that do not have the schema, or whose rows contradict each other."""

    permanent = True

    def __init__(self, table: str, problem: str) -> None:
        self.table, self.problem = table, problem
        super().__init__(f"the table {table} cannot be stored: {problem}")


class ResultMissing(StorageError):
    """The backtest stored no result, or its files are gone."""

    permanent = True

    def __init__(self, task_id: UUID, path: Path | str | None) -> None:
        self.task_id, self.path = task_id, path
        where = f": {path} does not exist" if path is not None else ": it stored none"
        super().__init__(f"the result of backtest {task_id} is missing{where}")


class ResultDamaged(StorageError):
    """A file of a result exists and is not what was stored."""

    permanent = True

    def __init__(self, path: Path | str, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"the result file {path} is damaged: {problem}")


class UnknownSchema(StorageError):
    """A result of a schema version that this release does not know."""

    permanent = True

    def __init__(self, version: object, known: Sequence[str]) -> None:
        self.version, self.known = version, tuple(known)
        super().__init__(f"the result has schema version {version!r}; this release reads {', '.join(known)}")


class TargetExists(StorageError):
    """What should be written exists already; nothing is ever overwritten."""

    permanent = True

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"{path} exists already; nothing is overwritten")


class DiskProblem(StorageError):
    """The file system refused a write: full, read-only or not permitted. Trying again may help."""

    def __init__(self, path: Path, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"cannot write {path}: {problem}")
