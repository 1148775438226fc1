"""Everything the engine can refuse, with the facts as attributes."""

from collections.abc import Sequence


class EngineError(Exception):
    """Root of the engine's errors. `permanent`: trying again cannot help."""

    permanent = True


class SpecError(EngineError):
    """One field of a backtest's spec is wrong.

    `field` is a dotted path ("params.fast", "costs.fee_rate"), `was` the value given, `allowed` a phrase that says
    what is allowed. `sentence` replaces the standard wording where a better one exists.
    """

    def __init__(self, field: str, was: object, allowed: str, sentence: str | None = None) -> None:
        super().__init__(field, was, allowed, sentence)
        self.field = field
        self.was = was
        self.allowed = allowed
        self.sentence = sentence

    def __str__(self) -> str:
        if self.sentence:
            return self.sentence
        return f"{self.field} was {_shown(self.was)}; allowed: {self.allowed}"


class SpecErrors(EngineError):
    """All the problems of a spec at once, in the order of its fields."""

    def __init__(self, errors: Sequence[SpecError]) -> None:
        super().__init__(tuple(errors))
        self.errors: tuple[SpecError, ...] = tuple(errors)

    def __str__(self) -> str:
        return "; ".join(str(error) for error in self.errors)


class BarsError(EngineError):
    """Bars that cannot be traded on: the first bad row (0-based), its column, what stood there, what is allowed."""

    def __init__(self, row: int, column: str, was: object, allowed: str) -> None:
        super().__init__(row, column, was, allowed)
        self.row = row
        self.column = column
        self.was = was
        self.allowed = allowed

    def __str__(self) -> str:
        return f"bar {self.row}: {self.column} was {_shown(self.was)}; allowed: {self.allowed}"


class LinesError(EngineError):
    """The lines that a strategy draws cannot be drawn: `problem` says what was wrong and what is allowed."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return self.problem


class StrategyError(EngineError):
    """A strategy's `signals` broke its contract: wrong length, wrong type, or no Signals at all."""

    def __init__(self, strategy: str, problem: str) -> None:
        super().__init__(strategy, problem)
        self.strategy = strategy
        self.problem = problem

    def __str__(self) -> str:
        return f"strategy {self.strategy!r}: {self.problem}"


class EquityOverflow(EngineError):
    """All-in trades on bars that always win grow beyond what a number can hold: the equity means nothing any more."""

    def __init__(self, bar: int) -> None:
        super().__init__(bar)
        self.bar = bar

    def __str__(self) -> str:
        return (
            f"the equity had grown beyond any meaning by bar {self.bar}; such bars cannot be real, "
            "or size the positions by fixed_notional or fixed_quantity"
        )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
