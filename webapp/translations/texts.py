"""Texts that pages show but that stand where nothing knows of languages: the engine's tables, rows, errors, scripts."""

from __future__ import annotations

from collections.abc import Iterator

from engine.catalog import STRATEGIES
from engine.metric_table import METRICS
from engine.params import ParamSpec
from engine.spec import SPEC_FIELDS
from webapp import phrases, script_words


def engine_texts() -> Iterator[str]:
    """Labels and explanations of strategies, fields and metrics, in their order; some more than once."""
    for strategy in STRATEGIES.values():
        yield strategy.label
        yield strategy.help
        for param in strategy.params:
            yield from _param(param)
    for field in SPEC_FIELDS.values():
        yield from _param(field)
    for metric in METRICS.values():
        yield metric.label
        yield metric.help


def other_texts() -> Iterator[str]:
    """What rows, errors and scripts say."""
    yield from phrases.texts()
    yield from script_words.TEXTS


def _param(param: ParamSpec) -> Iterator[str]:
    yield param.label
    yield param.help
