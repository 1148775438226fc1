"""What can go wrong with an exchange. `permanent` decides whether a job tries again."""

from workers.errors import WorkerError


class ExchangeError(WorkerError):
    """Root of the errors of exchanges."""

    def __init__(self, exchange: str, problem: str) -> None:
        self.exchange, self.problem = exchange, problem
        super().__init__(f"{exchange}: {problem}")


class ExchangeUnreachable(ExchangeError):
    """Nobody answers, or not in time, or the connection breaks."""


class ExchangeFailed(ExchangeError):
    """The exchange has a problem of its own (5xx)."""


class BadAnswer(ExchangeError):
    """What came back is not what the exchange promises."""


class ExchangeBusy(ExchangeError):
    """The exchange asks for more patience than a job has."""

    def __init__(self, exchange: str, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(exchange, f"it asks to wait {seconds:,.0f} seconds; fetch again later")


class ExchangeRefused(ExchangeError):
    """The exchange says no, and will say it again."""

    permanent = True


class UnknownMarket(ExchangeError):
    """The exchange does not trade this symbol."""

    permanent = True

    def __init__(self, exchange: str, symbol: str, near: list[str]) -> None:
        self.symbol, self.near = symbol, near
        hint = f"; near to it: {', '.join(near)}" if near else ""
        super().__init__(exchange, f"it has no market {symbol}{hint}")


class UnknownTimeframe(ExchangeError):
    """The exchange has no bars of this timeframe."""

    permanent = True

    def __init__(self, exchange: str, timeframe: str, allowed: list[str]) -> None:
        super().__init__(exchange, f"it has no bars of {timeframe}; it has {', '.join(allowed)}")


class NotInstalled(ExchangeError):
    """The library for other exchanges is missing."""

    permanent = True

    def __init__(self, exchange: str) -> None:
        how = ".venv/bin/python -m pip install 'ccxt>=4.5.64,<4.5.65'"
        super().__init__(exchange, f"exchanges beside Upbit and Binance need the library ccxt; install it with {how}")
