"""check_lookahead: does a signal change when the bars after it are taken away?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.bars import Bars, typed_bars, validate_bars
from engine.catalog import STRATEGIES, Catalog, get_strategy
from engine.simulation import CHUNK_BARS
from engine.spec import BacktestSpec
from engine.wishes import WishSource

Wishes = NDArray[np.uint8]

CUTS = 16
# Bars that all cuts together compute anew: a share of the run, within these bounds, but enough for every warm-up.
SHARE = 0.05
AT_LEAST = 8_192
AT_MOST = 65_536
# Bars after the cut that a window's longer version sees.
TAIL = 64


@dataclass(frozen=True, slots=True)
class LookaheadReport:
    """`prefixes`: how many cuts were tried. `ok`: no signal changed. `first_bar`: the first bar that did, or None."""

    prefixes: int
    ok: bool
    first_bar: int | None


def check_lookahead(
    bars: Bars, spec: BacktestSpec, wishes: Wishes | None = None, *, strategies: Catalog = STRATEGIES
) -> LookaheadReport:
    """Recompute the strategy's signals with the future cut off, at a bounded number of places, and compare.

    `wishes`: Simulation.wishes of a run over these bars, computed here when left out. Half of the cuts fall right
    behind a bar whose wish differs from the one before, because a signal that owes itself to the future is missing
    there; the others are spread evenly. A cut early in the run compares the bars up to it with the whole run. A cut
    deep in a long run would cost too many bars: it compares a window that ends there with the same window and 64
    more bars.
    """
    clean = validate_bars(bars) if wishes is None else typed_bars(bars)
    strategy = get_strategy(spec.strategy, strategies)
    source = WishSource(strategy, clean, spec.params)
    if wishes is None:
        parts = [source.wishes(at, min(at + CHUNK_BARS, len(clean))) for at in range(0, len(clean), CHUNK_BARS)]
        wishes = np.concatenate(parts)
    cuts = _cuts(wishes)
    budget = budget_of(len(clean), len(cuts), strategy.warmup(spec.params))
    differing = [_first_difference(source, wishes, cut, budget) for cut in cuts]
    found = [bar for bar in differing if bar is not None]
    return LookaheadReport(prefixes=len(cuts), ok=not found, first_bar=min(found, default=None))


def budget_of(bars: int, cuts: int, warmup: int) -> int:
    """How many bars one of so many cuts of a run of `bars` may compute anew."""
    share = min(max(int(SHARE * bars), AT_LEAST), AT_MOST) // max(cuts, 1)
    return max(share, 4 * warmup + TAIL)


def _cuts(wishes: Wishes) -> list[int]:
    """Lengths at which to cut, shortest first: right behind bars where the wish changes, and evenly spread."""
    wished = np.flatnonzero(np.diff(wishes, prepend=0)) + 1
    if len(wished):
        wished = wished[np.linspace(0, len(wished) - 1, CUTS // 2).astype(np.int64)]
    even = np.linspace(1, len(wishes), CUTS // 2 + 2)[1:-1].astype(np.int64)
    return [int(cut) for cut in np.unique(np.concatenate([wished, even])) if cut < len(wishes)]


def _first_difference(source: WishSource, wishes: Wishes, cut: int, budget: int) -> int | None:
    if cut <= budget:
        start, expected = 0, wishes[:cut]
    else:
        start = cut - budget // 2
        expected = source.compute(source.bars.slice(start, cut + TAIL))[: cut - start]
    seen = source.compute(source.bars.slice(start, cut))
    differs = np.flatnonzero(seen != expected)
    return start + int(differs[0]) if len(differs) else None
