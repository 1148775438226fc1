"""What a backtest's figures are and how they follow from its simulations."""

from engine.metric_table import METRICS, MetricSpec, Unit

__all__ = ["METRICS", "MetricSpec", "Unit"]
