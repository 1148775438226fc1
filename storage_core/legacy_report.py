"""What a migration or a roll-back did, in figures and sentences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from storage_core.legacy_errors import BadLegacyFile


class Skip(StrEnum):
    """Why a result was left out, or only moved."""

    THERE = "already stored and equal"
    SAME = "a second copy with the same content"
    CUTOFF = "created at or after the cutoff"
    DELETED = "migrated before and deleted since"


@dataclass(frozen=True, slots=True)
class Failure:
    """One file that could not be migrated, and why; it was left where it is."""

    path: str
    task_id: UUID | None
    kind: str
    field: str
    reason: str

    def __str__(self) -> str:
        """As a sentence."""
        return f"{self.path}: {self.field} {self.reason}" if self.field else f"{self.path} {self.reason}"


@dataclass(slots=True)
class Outcome:
    """What became of one copy of a result: migrated unless `skip` or `failure` says otherwise; bytes before, after."""

    skip: Skip | None = None
    failure: Failure | None = None
    before: int = 0
    after: int = 0
    doubts: list[str] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether the result is stored, so that its file can go."""
        return self.failure is None and self.skip in (None, Skip.THERE, Skip.SAME)


@dataclass(slots=True)
class Report:
    """A migration in figures; `found` = `migrated` + `skipped` + `failed`. Bytes are those of what was migrated."""

    source: str
    dry_run: bool = False
    migrated: int = 0
    skips: dict[str, int] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    bytes_before: int = 0
    bytes_after: int = 0
    verified: int = 0
    seconds: float = 0.0

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Count these."""
        for outcome in outcomes:
            if outcome.failure is not None:
                self.failures.append(outcome.failure)
            elif outcome.skip is not None:
                self.skips[outcome.skip.value] = self.skips.get(outcome.skip.value, 0) + 1
            else:
                self.migrated += 1
                self.bytes_before += outcome.before
                self.bytes_after += outcome.after
                self.doubts += outcome.doubts

    def close(self, seconds: float) -> None:
        """Sort what came in the order of the processes, and note how long it took."""
        self.failures.sort(key=lambda failure: (failure.path, failure.reason))
        self.doubts.sort()
        self.skips = dict(sorted(self.skips.items()))
        self.seconds = seconds

    @property
    def skipped(self) -> int:
        """How many were left out."""
        return sum(self.skips.values())

    @property
    def failed(self) -> int:
        """How many could not be migrated."""
        return len(self.failures)

    @property
    def found(self) -> int:
        """How many there were."""
        return self.migrated + self.skipped + self.failed

    @property
    def reduction_pct(self) -> float | None:
        """By how many percent the migrated results became smaller; negative when they grew."""
        return 100.0 * (1 - self.bytes_after / self.bytes_before) if self.bytes_before else None

    @property
    def files_per_second(self) -> float:
        """Results a second."""
        return self.found / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For machines; equal for a dry run and the real one but for `dry_run` and the last two."""
        return {
            "source": self.source,
            "dry_run": self.dry_run,
            "found": self.found,
            "migrated": self.migrated,
            "skipped": self.skipped,
            "skips": self.skips,
            "failed": self.failed,
            "failures": [asdict(f) | {"task_id": str(f.task_id) if f.task_id else None} for f in self.failures],
            "doubts": self.doubts,
            "verified": self.verified,
            "bytes_before": self.bytes_before,
            "bytes_after": self.bytes_after,
            "reduction_pct": self.reduction_pct,
            "seconds": self.seconds,
            "files_per_second": self.files_per_second,
        }


def failed(path: str, task_id: UUID | None, error: Exception) -> Outcome:
    """The outcome of a copy that this error stopped."""
    if isinstance(error, BadLegacyFile):
        failure = Failure(path, task_id, error.kind, error.field, error.reason)
    elif isinstance(error, FileNotFoundError):
        failure = Failure(path, task_id, "gone", "", "vanished while it was being read")
    else:
        failure = Failure(path, task_id, "not-stored", "", f"{error}")
    return Outcome(failure=failure)
