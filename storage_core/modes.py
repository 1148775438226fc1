"""Storage modes: in which of two forms a result is kept, as Parquet, as legacy JSON, or both.

The setting RESULT_STORAGE_MODE says what is written from now on; a row's `stores` says what its result is kept as.
Any mode reads what any other has written, so the mode can be changed at any time, forward and back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TypeAlias

from storage_core.errors import SettingsError

JSON, PARQUET = "json", "parquet"
SIDES = (JSON, PARQUET)
"""The forms, in the order in which they are written."""

PARQUET_ONLY, DUAL_WRITE, JSON_ONLY = "parquet-only", "dual-write", "json-only"
MODES: dict[str, tuple[str, ...]] = {PARQUET_ONLY: (PARQUET,), DUAL_WRITE: SIDES, JSON_ONLY: (JSON,)}
"""What each mode writes."""
FILES = {JSON: ("result", "manifest"), PARQUET: ("symbol_summary", "symbol_signals", "performance_curve")}
"""The files of each side, as a row's metadata names them."""
LINES = "strategy_lines"
"""A Parquet file that a result may have beside its sides, in every mode: the lines of a person's own strategy."""
OLD_NAMES = {"postgres-only": PARQUET_ONLY}
COMPRESSIONS = ("zstd", "snappy")

Stores: TypeAlias = str
"""The sides of a result as a row names them: "json", "parquet" or "json+parquet"."""


def storage_mode(value: str) -> str:
    """The mode of that name, or old name. Raises SettingsError."""
    mode = OLD_NAMES.get(value, value)
    if mode not in MODES:
        raise SettingsError("RESULT_STORAGE_MODE", repr(value), ", ".join([*MODES, *OLD_NAMES]))
    return mode


def compression(value: str) -> str:
    """The compression of that name. Raises SettingsError."""
    if value not in COMPRESSIONS:
        raise SettingsError("PARQUET_COMPRESSION", repr(value), " or ".join(COMPRESSIONS))
    return value


def named(sides: Iterable[str]) -> Stores:
    """How a row names these sides."""
    kept = set(sides)
    return "+".join(side for side in SIDES if side in kept)


def sides_of(stores: Stores) -> tuple[str, ...]:
    """The sides that a row names."""
    return tuple(side for side in SIDES if side in stores.split("+"))


def sides_in(files: Collection[str]) -> tuple[str, ...]:
    """The sides whose files are all among `files`."""
    return tuple(side for side in SIDES if set(FILES[side]) <= set(files))


def file_name(name: str) -> str:
    """The name in its folder of a file that a row's metadata names `name`."""
    return f"{name}.json" if name in FILES[JSON] else f"{name}.parquet"


def complete(files: Collection[str]) -> bool:
    """Whether these are the files of one side, or of both: none too few and, but for the lines, none too many."""
    sides = sides_in(files)
    return bool(sides) and len(set(files) - {LINES}) == sum(len(FILES[side]) for side in sides)


def steps(mode: str) -> tuple[str, ...]:
    """The steps of a save that write files, in order, as `on_step` hears of them."""
    written = {JSON: (JSON,), PARQUET: FILES[PARQUET]}
    return tuple(step for side in MODES[mode] for step in written[side])
