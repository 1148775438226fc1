"""Lines that a strategy draws by its own function: asked for, checked, and looked at for knowledge of the future."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from engine.bars import Bars
from engine.catalog import StrategySpec, load_drawn
from engine.errors import LinesError
from engine.lines import PANES, DrawnLine
from engine.lookahead import TAIL, budget_of
from engine.params import Params

MOST_LINES: Final = 8
LONGEST_LABEL: Final = 40
TAKEN: Final = ("symbol", "timestamp")
"""Labels that no line can have: the columns beside the lines where a result is exported are called so."""
CUTS: Final = 16
TOLERANCE: Final = 1e-9
"""Of the largest value of a line: sums over a part of the bars may round otherwise."""


def draw_lines(strategy: StrategySpec, bars: Bars, params: Params) -> tuple[DrawnLine, ...]:
    """The lines of the strategy over these bars, in its order; none when it draws none. Infinities become nan.

    Raises LinesError when the function fails, or when its answer breaks the contract of DrawnLine.
    """
    function = load_drawn(strategy)
    if function is None:
        return ()
    try:
        with np.errstate(all="ignore"):
            return _all_checked(function(bars, dict(params)), len(bars))
    except LinesError:
        raise
    except (Exception, SystemExit) as error:  # somebody else's code may raise anything; the person is told
        raise LinesError(f"lines failed: {type(error).__name__}: {error}") from error


def _all_checked(answer: object, bars: int) -> tuple[DrawnLine, ...]:
    if not isinstance(answer, list | tuple):
        raise LinesError(f"lines returned {type(answer).__name__}; allowed: a list of DrawnLines")
    if len(answer) > MOST_LINES:
        raise LinesError(f"lines returned {len(answer)} lines; allowed: at most {MOST_LINES}")
    lines = tuple(_checked(number, line, bars) for number, line in enumerate(answer, start=1))
    labels = [line.label for line in lines]
    for label in labels:
        if labels.count(label) > 1:
            raise LinesError(f"two lines are called {label!r}; allowed: a label that no other line has")
    return lines


def check_drawn(strategy: StrategySpec, bars: Bars, params: Params, lines: Sequence[DrawnLine]) -> None:
    """Draw `lines`, those of all `bars`, again with the future cut off at 16 places, and compare.

    The first cuts compare with the lines of the whole run. Those deep in a long run compare the window that ends there
    with the same window and 64 more bars. Raises LinesError naming the first line and bar that differ.
    """
    budget = budget_of(len(bars), CUTS, strategy.warmup(params))
    even = np.linspace(1, len(bars), CUTS + 2)[1:-1].astype(np.int64)
    for cut in (int(cut) for cut in np.unique(np.append(even, budget)) if lines and cut < len(bars)):
        start = 0 if cut <= budget else cut - budget // 2
        longer = lines if start == 0 else draw_lines(strategy, bars.slice(start, cut + TAIL), params)
        seen = draw_lines(strategy, bars.slice(start, cut), params)
        if [line.label for line in seen] != [line.label for line in longer]:
            raise LinesError("the labels change when later bars are cut off; allowed: labels made of the params only")
        for line, whole in zip(seen, longer, strict=True):
            _compare(line, whole, start)


def _compare(line: DrawnLine, whole: DrawnLine, start: int) -> None:
    expected = whole.values[: len(line.values)]
    scale = float(np.max(np.abs(expected), where=np.isfinite(expected), initial=0.0))
    same = np.isclose(line.values, expected, rtol=0.0, atol=TOLERANCE * scale, equal_nan=True)
    if not same.all():
        bar = start + int(np.argmin(same))
        raise LinesError(f"the line {line.label!r} changes at bar {bar} when later bars are cut off (lookahead)")


def _checked(number: int, line: object, bars: int) -> DrawnLine:
    if not isinstance(line, DrawnLine):
        raise LinesError(f"line {number} was {type(line).__name__}; allowed: DrawnLine(label, values)")
    label = line.label
    if not isinstance(label, str) or not _readable(label):
        raise LinesError(
            f"the label of line {number} was {label!r:.60}; allowed: 1 to {LONGEST_LABEL} printable characters"
        )
    if label in TAKEN:
        raise LinesError(f"the label of line {number} was {label!r}; allowed: any but {' and '.join(TAKEN)}")
    if line.pane not in PANES:
        raise LinesError(f"the pane of {label!r} was {line.pane!r:.60}; allowed: {', '.join(PANES)}")
    if not isinstance(line.faint, bool):
        raise LinesError(f"faint of {label!r} was {line.faint!r:.60}; allowed: True or False")
    values = line.values
    if not isinstance(values, np.ndarray) or values.dtype != np.float64 or values.shape != (bars,):
        allowed = f"a float64 array of {bars} values, one a bar, nan where there is none"
        raise LinesError(f"the values of {label!r} were {_kind(values)}; allowed: {allowed}")
    return DrawnLine(label, np.where(np.isfinite(values), values, np.nan), line.pane, line.faint)


def _readable(label: str) -> bool:
    return 1 <= len(label) <= LONGEST_LABEL and label.isprintable() and label == label.strip()


def _kind(values: object) -> str:
    if isinstance(values, np.ndarray):
        return f"{values.dtype} of shape {values.shape}"
    return type(values).__name__
