"""What can go wrong in a worker. `permanent` decides whether a run is tried again."""


class WorkerError(Exception):
    """Root of this package's errors."""

    permanent = False


class BrokerDown(WorkerError):
    """The broker does not answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the queue does not answer: {reason}")


class Interrupted(WorkerError):
    """A run stops before its end; `why` is "cancelled", "lost" or "stopping"."""

    def __init__(self, why: str) -> None:
        super().__init__(f"run interrupted: {why}")
        self.why = why


class TimeLimit(WorkerError):
    """A run took longer than it may."""

    permanent = True

    def __init__(self, seconds: float) -> None:
        super().__init__(f"it was stopped after {seconds:,g} seconds, the most that BACKTEST_TIME_LIMIT allows")
        self.seconds = seconds


class CannotStart(WorkerError):
    """The product cannot be started here; the message says what to do."""

    permanent = True
