"""One id, one content: which of several copies may go on when they, or what is stored already, disagree."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from storage_core import legacy_parse
from storage_core.legacy_errors import BadLegacyFile
from storage_core.legacy_parse import Rules, Source
from storage_core.legacy_report import Outcome, failed
from storage_core.models import Backtest


def agreed(
    sources: Sequence[Source], row: Backtest | None, task_id: UUID, rules: Rules, *, force: bool
) -> tuple[list[Source], list[Outcome]]:
    """The copies that may go on, all with one content, and a failure for each other one.

    A stored result decides (with `force` only one of a backtest that was not migrated); a copy that is broken in
    itself is named for that and does not count.
    """
    stored = None if row is None or (force and row.source == "legacy") else row.legacy_sha256 or "none"
    if stored is None and len({source.sha256 for source in sources}) <= 1:
        return list(sources), []
    fine, failures = _sound([source for source in sources if source.sha256 != stored], task_id, rules)
    if row is not None and stored is not None:
        failures += [failed(source.copy.path, task_id, _taken(row)) for source in fine]
        return [source for source in sources if source.sha256 == stored], failures
    if len({source.sha256 for source in fine}) <= 1:
        return fine, failures
    for source in fine:
        other = next(one.copy.path for one in fine if one is not source)
        failures.append(failed(source.copy.path, task_id, _contradicts(other)))
    return [], failures


def _sound(sources: Sequence[Source], task_id: UUID, rules: Rules) -> tuple[list[Source], list[Outcome]]:
    fine: list[Source] = []
    failures: list[Outcome] = []
    for source in sources:
        try:
            legacy_parse.convert(source, task_id, rules)
        except BadLegacyFile as error:
            failures.append(failed(source.copy.path, task_id, error))
        else:
            fine.append(source)
    return fine, failures


def _taken(row: Backtest) -> BadLegacyFile:
    if row.source != "legacy":
        return BadLegacyFile("duplicate-id", "", "has the id of a backtest that this product ran")
    reason = "has the id of a result that is stored already, with another content (--force replaces it)"
    return BadLegacyFile("duplicate-id", "", reason)


def _contradicts(other: str) -> BadLegacyFile:
    return BadLegacyFile("duplicate-id", "", f"has the same id as {other}, with another content; keep one of the two")
