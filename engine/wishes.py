"""Where signals come from: a strategy's function, called piece by piece where it allows, its answer checked."""

import numpy as np
from numpy.typing import NDArray

from engine.bars import Bars
from engine.catalog import StrategySpec, load_signals
from engine.errors import EngineError, StrategyError
from engine.params import Params
from engine.signals import Signals

_FLAGS = ("enter", "exit", "enter_short", "exit_short")


class WishSource:
    """Signals of one strategy over one symbol's bars, packed into one byte a bar.

    A strategy with a known memory is computed for the bars asked for and those it remembers; any other at once, for
    all bars, when the first are asked for. `hold_bars` is the strategy's own time exit, known after the first call.
    """

    def __init__(self, strategy: StrategySpec, bars: Bars, params: Params) -> None:
        self.strategy = strategy
        self.bars = bars
        self.params = params
        self.hold_bars: int | None = None
        self._signals = load_signals(strategy)
        self._memory = None if strategy.memory is None else strategy.memory(params)
        self._all: NDArray[np.uint8] | None = None

    def wishes(self, start: int, stop: int) -> NDArray[np.uint8]:
        """uint8[stop - start]: the wishes of bars start..stop-1 (bits ENTER, EXIT, ENTER_SHORT, EXIT_SHORT)."""
        if self._memory is not None:
            before = max(0, start - self._memory)
            return self.compute(self.bars.slice(before, stop))[start - before :]
        if self._all is None:
            self._all = self.compute(self.bars)
        return self._all[start:stop]

    def compute(self, bars: Bars) -> NDArray[np.uint8]:
        """The packed wishes of these bars and nothing else; StrategyError when the strategy breaks its contract."""
        try:
            signals = self._signals(bars, self.params)
        except EngineError:
            raise
        except Exception as error:
            raise StrategyError(self.strategy.name, f"signals failed: {type(error).__name__}: {error}") from error
        self._check(signals, len(bars))
        self.hold_bars = signals.hold_bars
        packed = signals.enter.view(np.uint8).copy()
        for bit, name in enumerate(_FLAGS[1:], start=1):
            packed |= getattr(signals, name).view(np.uint8) << bit
        return packed

    def _check(self, signals: object, length: int) -> None:
        if not isinstance(signals, Signals):
            raise StrategyError(self.strategy.name, f"signals returned {type(signals).__name__}, not Signals")
        for name in _FLAGS:
            flags = getattr(signals, name)
            if not isinstance(flags, np.ndarray) or flags.dtype != np.bool_ or flags.shape != (length,):
                raise StrategyError(self.strategy.name, f"{name} must be a bool array of {length} values, one a bar")
        hold = signals.hold_bars
        if hold is not None and (isinstance(hold, bool) or not isinstance(hold, int) or hold < 1):
            raise StrategyError(self.strategy.name, f"hold_bars must be a whole number of 1 or more, was {hold!r}")
