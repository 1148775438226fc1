"""What a change to stored bars is: checked, planned, joined, and described afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storage_core.bar_errors import BarConflicts
from storage_core.bar_merge import MergePlan, merged, plan
from storage_core.bar_names import TIMEFRAMES, Wins, file_name
from storage_core.bar_quality import quality_of
from storage_core.bar_table import BarTable, checked, fingerprint


def checked_bars(symbol: str, timeframe: str, bars: BarTable | Mapping[str, Any]) -> BarTable:
    """The bars as they may be stored. Raises BadSymbol, BadTimeframe, BadBars."""
    file_name(symbol, timeframe)
    return checked(f"{symbol} {timeframe}", bars.columns() if isinstance(bars, BarTable) else bars)


def joined(
    symbol: str, timeframe: str, stored: BarTable | None, new: BarTable, wins: Wins | None
) -> tuple[BarTable | None, MergePlan]:
    """The bars to store (None when those that are stored stay as they are), and what that does. Raises BarConflicts."""
    what = plan(stored, new)
    if what.conflicts and wins is None:
        raise BarConflicts(symbol, timeframe, what)
    if not what.added and (not what.conflicts or wins == "stored"):
        return None, what
    return merged(stored, new, wins=wins or "stored"), what


def facts_of(bars: BarTable, timeframe: str) -> dict[str, Any]:
    """Fingerprint and quality, as they are kept."""
    return {"fingerprint": fingerprint(bars), "quality": quality_of(bars, TIMEFRAMES[timeframe]).as_dict()}
