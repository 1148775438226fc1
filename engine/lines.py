"""Lines: the indicators that a strategy looks at, as data for charts. engine.indicators has the formulas.

Those of people's own strategies come as values: DrawnLines, which engine.drawn_lines asks for and checks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from engine.params import Params

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Pane = Literal["price", "volume", "below"]
PANES: Final[tuple[str, ...]] = get_args(Pane)


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


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """One line that a person's own strategy draws, by its function `lines(bars, params)`.

    `label`: 1 to 40 printable characters, no other line of the strategy has it. `values`: float64[n], one a bar, nan
    where there is none; the value at i may use bars up to and including i. `pane`, `faint`: as those of Line.
    """

    label: str
    values: "NDArray[np.float64]"
    pane: Pane = "price"
    faint: bool = False


Lines = Callable[[Params], tuple[Line, ...]]


def no_lines(params: Params) -> tuple[Line, ...]:
    """Of a strategy that looks at nothing but prices, or whose author did not say."""
    return ()
