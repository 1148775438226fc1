"""`metadata.json` of a result: its whole row, and the rows, bytes and sha256 of each file.

Nothing is said twice, as many results are smaller than what can be said of them: a column that is not there is null,
and what the row's metadata notes of the files stands beside the row only.

With it a folder can be checked by itself, and its row can be written again when the database has lost it. It begins
with the sha256 of what follows that sha256, so that it cannot be adopted, or believed, with a single bit changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Date, Uuid, inspect

from storage_core import modes
from storage_core.db import UtcDateTime
from storage_core.errors import BadTables, ResultDamaged
from storage_core.models import Backtest
from storage_core.models.backtest import METRIC_COLUMNS

MANIFEST = "metadata.json"
_HEAD, _HEAD_BEFORE = b'{\n "sha256": "', b'{\n "files"'  # before there was a sha256 of itself
_DIGITS = 64
_COMPACT = json.JSONEncoder(allow_nan=False, ensure_ascii=False).encode
_ATTRIBUTES = {column.key: column.columns[0] for column in inspect(Backtest).column_attrs}


def result_columns(
    metrics: Mapping[str, float | int | str | None], metadata: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The columns of the row that a result fills, by attribute; `files` is what the folder holds.

    Raises BadTables when a value is not plain JSON (NaN and infinity are not; None is what stands for undefined).
    """
    stored = {**metadata, "metrics": dict(metrics), "files": {name: dict(facts) for name, facts in files.items()}}
    try:
        stored = json.loads(json.dumps(stored, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise BadTables("metadata", str(error)) from error
    typed = {name: stored["metrics"].get(name) for name in METRIC_COLUMNS}
    return {
        **typed,
        "metadata_": stored,
        "sparkline": stored.get("sparkline"),
        "lookahead_ok": (stored.get("lookahead") or {}).get("ok"),
        "run_key": stored.get("run_key"),
        "data_fingerprint": _data_fingerprint(stored.get("data") or {}),
        "code_version": (stored.get("versions") or {}).get("coin_hts"),
        "file_size": sum(facts["bytes"] for facts in files.values()) if files else None,
        "record_count": record_count(files),
        "stores": modes.named(modes.sides_in(files)) or modes.PARQUET,
    }


def check_columns(metrics: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Raise BadTables now if `result_columns` would, whatever the files."""
    try:
        _COMPACT([dict(metrics), dict(metadata)])
    except (TypeError, ValueError) as error:
        raise BadTables("metadata", str(error)) from error


def record_count(files: Mapping[str, Mapping[str, Any]]) -> int | None:
    """How many trades a result of these files has; None without files."""
    facts = files.get("symbol_signals") or files.get("result")
    return facts["rows"] if facts else None


def dump(row: Backtest, columns: Mapping[str, Any]) -> bytes:
    """The manifest of `row` as it will be once `columns` are written to it."""
    values = ((name, columns[name] if name in columns else getattr(row, name)) for name in _ATTRIBUTES)
    plain = {_ATTRIBUTES[name].name: _plain(value) for name, value in values if value is not None}
    files = columns["metadata_"]["files"]
    plain["metadata"] = {name: value for name, value in plain["metadata"].items() if name != "files"}
    # A line for each file and column. The indentation of the library would be ten times slower.
    rest = f'",\n "files": {_lines(files)},\n "row": {_lines(plain)}\n}}'.encode()
    return _HEAD + hashlib.sha256(rest).hexdigest().encode() + rest


def load(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The row (by attribute, as values of the columns) and the files that the manifest of `folder` names.

    Raises ResultDamaged when there is no manifest or it is not one.
    """
    path = folder / MANIFEST
    try:
        return parse(path.read_bytes(), path)
    except FileNotFoundError as error:
        raise ResultDamaged(path, "it does not exist") from error
    except OSError as error:
        raise ResultDamaged(path, f"it cannot be read ({error})") from error


def parse(data: bytes, path: Path | str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What `load` gives, from the bytes of the manifest that lies at `path`. Raises ResultDamaged."""
    rest = data.removeprefix(_HEAD)
    whole = rest[:_DIGITS] == hashlib.sha256(rest[_DIGITS:]).hexdigest().encode()
    if not whole and not data.startswith(_HEAD_BEFORE):
        raise ResultDamaged(path, "its sha256 is not the one that stands in it")
    try:
        document = json.loads(data)
        stored, files = document["row"], {name: dict(facts) for name, facts in document["files"].items()}
        row = {
            name: _value(column, stored.get(column.name))
            for name, column in _ATTRIBUTES.items()
            if column.nullable or column.name in stored  # an older release knew fewer columns
        }
        return {**row, "metadata_": {**stored["metadata"], "files": files}}, files
    except (ValueError, KeyError, TypeError) as error:
        raise ResultDamaged(path, f"it is not a manifest of ours ({type(error).__name__}: {error})") from error


def _lines(members: Mapping[str, Any]) -> str:
    written = (f'"{name}": {_COMPACT(value)}' for name, value in members.items())
    return "{\n  " + ",\n  ".join(written) + "\n }"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _value(column: Any, stored: Any) -> Any:
    if stored is None:
        return None
    if isinstance(column.type, UtcDateTime):
        return datetime.fromisoformat(stored)
    if isinstance(column.type, Date):
        return date.fromisoformat(stored)
    return UUID(stored) if isinstance(column.type, Uuid) else stored


def _data_fingerprint(data: Mapping[str, Mapping[str, Any]]) -> str | None:
    """One digest for the bars of all symbols."""
    if not data:
        return None
    lines = (f"{symbol} {facts['sha256']}\n" for symbol, facts in sorted(data.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
