"""Lines: the indicators that a strategy looks at, as data for charts. engine.indicators has the formulas."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from engine.params import Params

Pane = Literal["price", "volume", "below"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: what people call it, its formula in engine.indicators with arguments, and its pane.

    `pane`: among the candles, among the volume, or in a pane of its own that all lines "below" share. `faint`: a level
    or a middle, which stays in the background.
    """

    label: str
    formula: str
    arguments: tuple[float, ...]
    pane: Pane = "price"
    faint: bool = False


Lines = Callable[[Params], tuple[Line, ...]]


def no_lines(params: Params) -> tuple[Line, ...]:
    """Of a strategy that looks at nothing but prices, or whose author did not say."""
    return ()
