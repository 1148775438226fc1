"""One legacy result from its files to everything that will be stored of it; nothing is written here."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from storage_core import legacy_document, legacy_read, legacy_row, legacy_values
from storage_core.legacy_document import Converted
from storage_core.legacy_errors import BadLegacyFile
from storage_core.legacy_find import MANIFEST, Copy
from storage_core.legacy_read import wrong_type
from storage_core.result_store import ResultTables

FAILED_CODE = "legacy_failed"
_IN_MANIFEST = f"{MANIFEST}: "


@dataclass(frozen=True, slots=True)
class Rules:
    """What a migration accepts: the size of a file, the strategies, and whether doubts count as failures."""

    strategies: Collection[str] = legacy_row.LEGACY_STRATEGIES
    max_bytes: int = legacy_read.MAX_BYTES
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Legacy:
    """A sound legacy result. `columns` are those of its row, by attribute; `tables` None: it failed, there are none.

    `bytes_before` are those of its files, `legacy` is what the row's metadata keeps for the way back, `doubts` are
    sentences about what does not fit together but can be stored.
    """

    columns: Mapping[str, Any]
    legacy: Mapping[str, Any]
    bytes_before: int
    tables: ResultTables | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    sparkline: list[float] | None = None
    doubts: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Source:
    """The bytes of one copy: of its result, and of its manifest where it has one."""

    copy: Copy
    result: bytes | None
    manifest: bytes | None
    changed_at: int

    @property
    def sha256(self) -> str:
        """The sha256 that tells this result from others: of result.json, of a failed task's manifest."""
        return hashlib.sha256(self.result if self.result is not None else self.manifest or b"").hexdigest()


def read_copy(folder: Path, copy: Copy, rules: Rules) -> Source:
    """Read the files of a copy. Raises BadLegacyFile, FileNotFoundError."""
    read: dict[str, tuple[bytes, int]] = {}
    for path in copy.files:
        try:
            read[path] = legacy_read.read_bytes(folder / path, max_bytes=rules.max_bytes)
        except BadLegacyFile as error:
            raise _in_manifest(error) if path == copy.manifest and copy.result else error from error
    result = read[copy.result] if copy.result else None
    manifest = read[copy.manifest] if copy.manifest else None
    changed_at = (result or manifest or (b"", 0))[1]
    return Source(copy, result[0] if result else None, manifest[0] if manifest else None, changed_at)


def convert(source: Source, task_id: UUID, rules: Rules) -> Legacy:
    """Check and convert one copy. Raises BadLegacyFile naming the field; in strict rules also for a doubt."""
    manifest = _manifest(source, task_id)
    if source.result is None:
        return _failed(source, manifest or {}, task_id, rules)
    if manifest is not None and manifest.get("status") != "completed":
        status = manifest.get("status")
        raise BadLegacyFile("contradiction", f"{_IN_MANIFEST}status", f"is {status!r}, but there is a result.json")
    document = legacy_read.parse(source.result)
    legacy_row.run_id(document.get("run_id"), "run_id", task_id, _place(source.copy))
    converted = legacy_document.to_tables(document)
    request = legacy_row.request(document, converted.symbols, rules.strategies)
    times, known_from = legacy_row.times(document, manifest, source.changed_at)
    doubts = _doubts(document, converted, manifest, source.result)
    if rules.strict and doubts:
        raise BadLegacyFile("doubt", "", f"is refused by --strict: {'; '.join(doubts)}")
    columns = {**request, **times, **_common(source, task_id), "status": "completed"}
    legacy = _legacy(source, str(document["run_id"]), known_from, doubts) | {
        "shape": converted.shape,
        "timeframe": document["timeframe"],
        "symbols": dict(zip(converted.symbols, converted.spelled, strict=True)),
        "document": converted.frame,
        "digest": legacy_document.digest(document),
    }
    return Legacy(
        columns=columns,
        legacy=legacy,
        bytes_before=_size(source),
        tables=converted.tables,
        metrics=legacy_row.metrics(converted),
        sparkline=legacy_row.sparkline(converted),
        doubts=doubts,
    )


def _manifest(source: Source, task_id: UUID) -> dict[str, Any] | None:
    if source.manifest is None:
        return None
    try:
        manifest = legacy_read.parse(source.manifest)
        legacy_read.check_plain(manifest, "")
    except BadLegacyFile as error:
        raise _in_manifest(error) if source.result is not None else error from error
    legacy_row.run_id(manifest.get("task_id"), f"{_IN_MANIFEST}task_id", task_id, "folder")
    if not isinstance(manifest.get("metadata", {}), dict | None):
        raise wrong_type(f"{_IN_MANIFEST}metadata", manifest["metadata"], "an object")
    return manifest


def _failed(source: Source, manifest: Mapping[str, Any], task_id: UUID, rules: Rules) -> Legacy:
    """A task that failed in the legacy system: a row with its reason, and no result."""
    status = manifest.get("status")
    if status != "failed":
        if status == "completed":
            raise BadLegacyFile("missing", "", "says that the task is completed, but there is no result.json beside it")
        raise BadLegacyFile("unfinished", "status", f"is {status!r}, and there is no result: the task never ended")
    spelled = manifest.get("symbols")
    if not isinstance(spelled, list):
        raise wrong_type("symbols", spelled, "a list of symbols")
    symbols = [legacy_values.symbol(text, f"symbols[{index}]") for index, text in enumerate(spelled)]
    request = legacy_row.request(manifest, symbols, rules.strategies)
    times, known_from = legacy_row.times(None, manifest, source.changed_at)
    error = manifest.get("error") or {}
    message = str(error.get("message") or "the legacy system gave no reason").replace("\x00", "")
    failure = {
        "status": "failed",
        "error_code": FAILED_CODE,
        "error_message": message.encode(errors="replace").decode(),
    }
    columns = {**request, **times, **_common(source, task_id), **failure}
    legacy = _legacy(source, str(manifest["task_id"]), known_from, [])
    return Legacy(columns=columns, legacy=legacy, bytes_before=_size(source))


def _common(source: Source, task_id: UUID) -> dict[str, Any]:
    return {"task_id": task_id, "source": "legacy", "legacy_sha256": source.sha256, "progress": 1.0}


def _legacy(source: Source, spelled: str, known_from: str, doubts: list[str]) -> dict[str, Any]:
    """What the metadata keeps besides the tables, so that the files can be written again as they were."""
    kept: dict[str, Any] = {"layout": source.copy.layout, "id": spelled, "created_at_from": known_from}
    if doubts:
        kept["doubts"] = doubts
    if source.manifest is not None:
        kept["manifest"] = source.manifest.decode()
    return kept


def _doubts(
    document: Mapping[str, Any], converted: Converted, manifest: Mapping[str, Any] | None, result: bytes
) -> list[str]:
    doubts = []
    count, said = converted.tables.symbol_signals.num_rows, document.get("total_signals")
    if said is not None and said != count:
        doubts.append(f"total_signals is {said}, but the file holds {count} signals")
    for index, facts in enumerate(_listed_files(manifest)):
        where = f"{_IN_MANIFEST}result_files[{index}]"
        if facts.get("size_bytes") not in (None, len(result)):
            doubts.append(f"{where}.size_bytes is {facts['size_bytes']!r}, but result.json has {len(result)} bytes")
        md5 = hashlib.md5(result, usedforsecurity=False).hexdigest()
        if facts.get("checksum") not in (None, md5):
            doubts.append(f"{where}.checksum does not fit: result.json was changed after it was written")
    for key in ("strategy", "start_date", "end_date", "timeframe", "params"):
        if manifest is not None and manifest.get(key, document[key]) != document[key]:
            doubts.append(f"{_IN_MANIFEST}{key} differs from that of result.json")
    return doubts


def _listed_files(manifest: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    listed = (manifest or {}).get("result_files")
    files = listed if isinstance(listed, list) else []
    return [facts for facts in files if isinstance(facts, dict) and facts.get("name") == "result.json"]


def _place(copy: Copy) -> str:
    return "folder" if copy.layout == "tasks" else "name of the file"


def _size(source: Source) -> int:
    return len(source.result or b"") + len(source.manifest or b"")


def _in_manifest(error: BadLegacyFile) -> BadLegacyFile:
    if error.field:
        return BadLegacyFile(error.kind, f"{_IN_MANIFEST}{error.field}", error.reason)
    return BadLegacyFile(error.kind, MANIFEST, error.reason)
