"""What can go wrong with bars beside `errors`: history that would change, and stores that are written at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage_core.errors import StorageError

if TYPE_CHECKING:
    from storage_core.bar_merge import MergePlan


class BarConflicts(StorageError):
    """Stored bars would change, and nobody said which side wins. Nothing was stored."""

    permanent = True

    def __init__(self, symbol: str, timeframe: str, plan: MergePlan) -> None:
        self.symbol, self.timeframe, self.plan = symbol, timeframe, plan
        first = plan.examples[0]
        differing = f"close {first.stored['close']:.10g} stored, {first.new['close']:.10g} new"
        super().__init__(
            f"{plan.conflicts:,} bars of {symbol} {timeframe} differ from those stored, the first at "
            f"{first.at:%Y-%m-%d %H:%M} UTC ({differing}); say which side wins"
        )


class BarsBusy(StorageError):
    """Others changed the same bars again and again while these were merged. Nothing was stored; try again."""

    def __init__(self, symbol: str, timeframe: str) -> None:
        self.symbol, self.timeframe = symbol, timeframe
        super().__init__(f"the bars of {symbol} {timeframe} are being changed by others; try again in a moment")
