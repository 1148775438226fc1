"""How many requests there were and how long they took, by route and status, for /metrics."""

from __future__ import annotations

import os
from typing import Final

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics
from prometheus_client.multiprocess import MultiProcessCollector

REQUEST_SECONDS: Final = "coin_hts_request_seconds"
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestCounts:
    """Counts of this process; with several web processes, read together from the folder that they share."""

    def __init__(self) -> None:
        disable_created_metrics()  # series that say only when each of the others began
        self._own = CollectorRegistry()
        self._seconds = Histogram(
            REQUEST_SECONDS,
            "Seconds from the start of a request to the last byte of its answer.",
            ("method", "route", "status"),
            buckets=BUCKETS,
            registry=self._own,
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request. `route` is the pattern of its address, of which there are few."""
        self._seconds.labels(method if method in METHODS else "other", route, str(status)).observe(seconds)

    def registry(self) -> CollectorRegistry:
        """What to draw up: the counts of all web processes of this machine that gunicorn runs together."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return self._own
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return together
