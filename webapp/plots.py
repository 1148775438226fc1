"""Geometry of small charts that are drawn on the server as SVG: scales, round ticks, bars, lines and dots.

They need no script, so they stand in the page, in the report and on paper alike. Colours come from the style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

WIDTH: Final = 560
LEFT: Final = 50
RIGHT: Final = 8
TOP: Final = 10
BOTTOM: Final = 26

Words = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Tick:
    """A word at a place of an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A bar or a dot: its box, its colour by `kind` (gain, loss or nothing), and what it says when pointed at."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Path:
    """A line through points; `area` closes it down to the base line."""

    d: str
    kind: str
    label: str = ""
    area: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """One chart, ready for templates/shared/plots.html."""

    title: str
    height: float = 230
    x_ticks: Sequence[Tick] = ()
    y_ticks: Sequence[Tick] = ()
    bars: Sequence[Mark] = ()
    dots: Sequence[Mark] = ()
    paths: Sequence[Path] = ()
    base: float | None = None
    x_label: str = ""
    y_label: str = ""
    rules: Sequence[Tick] = field(default_factory=tuple)
    width: float = WIDTH
    left: float = LEFT

    @property
    def right(self) -> float:
        """Where the drawing ends."""
        return self.width - RIGHT

    @property
    def bottom(self) -> float:
        """Where the drawing ends below."""
        return self.height - BOTTOM

    top: float = TOP


@dataclass(frozen=True, slots=True)
class Scale:
    """Values onto pixels, in a straight line."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        share = (value - self.low) / span if span else 0.5
        return round(self.start + share * (self.end - self.start), 2)


def round_steps(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers (1, 2, 5 times a power of ten apart) that cover low .. high."""
    if not high - low > 1e-300:  # also what is too small for a step of its own
        low, high = low - 1.0, high + 1.0
    rough = (high - low) / count
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(times * size for times in (1.0, 2.0, 5.0, 10.0) if times * size >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def x_scale(low: float, high: float, *, width: float = WIDTH, left: float = LEFT) -> Scale:
    """Values onto the width of a plot."""
    return Scale(low, high, left, width - RIGHT)


def y_scale(steps: Sequence[float], *, height: float = 230) -> Scale:
    """Values onto the height of a plot, upwards; its ends are the outer ones of `steps`."""
    return Scale(steps[0], steps[-1], height - BOTTOM, TOP)


def ticks(scale: Scale, values: Sequence[float], words: Words) -> list[Tick]:
    """A word for each of `values`."""
    return [Tick(scale(value), words(value)) for value in values]


def column(scale: Scale, left: float, width: float, value: float, *, title: str) -> Mark:
    """A bar from zero to `value`, coloured by its sign; a value of nothing still shows."""
    zero, end = scale(0.0), scale(value)
    kind = "gain" if value > 0 else ("loss" if value < 0 else "")
    return Mark(round(left, 2), min(zero, end), round(width, 2), max(abs(zero - end), 0.75), kind, title)


def line(points: Sequence[tuple[float, float]]) -> str:
    """The path through points."""
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points) if points else ""


def area(points: Sequence[tuple[float, float]], base: float) -> str:
    """The path around what lies between points and the height `base`."""
    return f"{line(points)}L{points[-1][0]:g} {base:g}L{points[0][0]:g} {base:g}Z" if points else ""
