"""Everything that /metrics tells, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from flask import current_app
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from sqlalchemy.exc import SQLAlchemyError

from storage_core import telemetry
from storage_core.telemetry import Figure
from webapp.extensions import broker, db, settings
from webapp.readiness import Remembered, readiness
from workers import VERSION
from workers.errors import BrokerDown

if TYPE_CHECKING:
    from workers.run_counts import RunCounts

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
SLOW_KEPT_SECONDS: Final = 60.0


class Collected:
    """What `generate_latest` asks of a registry."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """The families."""
        return self._metrics


def exposition() -> bytes:
    """All figures. What cannot be asked at this moment is missing, and `coin_hts_ready` says what that is."""
    counts = current_app.extensions["request_counts"]
    return bytes(generate_latest(counts.registry()) + generate_latest(Collected(list(_families()))))  # type: ignore[arg-type]


def _families() -> Iterator[Metric]:
    version = Figure("coin_hts_info", "The version that runs.", [({"version": VERSION}, 1.0)])
    checks = [({"check": check.name}, float(check.ok)) for check in readiness()]
    ready = Figure("coin_hts_ready", "Whether a check of /readyz is passed.", checks)
    yield from (_gauge(figure) for figure in (version, ready, *_from_database()))
    from workers.run_counts import read_counts  # with the queue's client, which weighs 20 MB in memory

    try:
        yield from _runs(read_counts(broker()))
    except BrokerDown as error:
        current_app.logger.warning("counts of backtests are missing in /metrics: %s", error)


def _from_database() -> list[Figure]:
    session = db.session()
    slow: Remembered[list[Figure]] = current_app.extensions.setdefault("slow_figures", Remembered(SLOW_KEPT_SECONDS))
    try:
        quick = list(telemetry.quick(session, settings(), now=datetime.now(UTC)))
        return [*quick, *slow.get(lambda: list(telemetry.slow(session, settings())))]
    except SQLAlchemyError as error:
        current_app.logger.warning("figures of the database are missing in /metrics: %s", error)
        return []


def _gauge(figure: Figure) -> Metric:
    labels = list(figure.samples[0][0]) if figure.samples else []
    family = GaugeMetricFamily(figure.name, figure.help, labels=labels)
    for values, value in figure.samples:
        family.add_metric(list(values.values()), value)
    return family


def _runs(counts: RunCounts) -> Iterator[Metric]:
    seconds = HistogramMetricFamily(
        "coin_hts_backtest_seconds",
        "Seconds that completed backtests took, from claim to commit.",
        labels=["strategy"],
    )
    for strategy, found in sorted(counts.seconds.items()):
        seconds.add_metric([strategy], found.cumulative(), found.total)
    failed = CounterMetricFamily("coin_hts_backtests_failed", "Backtests that failed for good.", labels=["code"])
    for code, count in sorted(counts.failed.items()):
        failed.add_metric([code], count)
    yield seconds
    yield failed
