"""The analysis tab: each chart with the table of its numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypedDict

import numpy as np
from flask_babel import gettext as _
from flask_babel import ngettext

from storage_core.bar_store import BarStore
from storage_core.models import Backtest
from storage_core.settings import Settings
from webapp import analysis, curves, plots
from webapp.analysis import ClosedTrades, Group
from webapp.charts import equity_columns
from webapp.context.backtest import WHOLE_MONEY
from webapp.context.result import Year, ctx_months
from webapp.curves import Curve
from webapp.filters import count, day, month_of_year, number, percent, signed, signed_percent
from webapp.phrases import said
from webapp.plots import Mark, Path, Plot, Tick

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_DOTS: Final = 1_200
FEW_TRADES: Final = 2
DOT: Final = 3.0

Row = Sequence[str]
Link = Callable[[str, int, int], str]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, what to know of it, and its numbers as a table."""

    id: str
    title: str
    note: str
    plot: Plot | None
    head: Row
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose analysis it is: what people see of money and time."""

    zone: str
    annual_days: int
    digits: int
    timeframe: str


class Analysis(TypedDict):
    """What the tab shows."""

    closed: int
    months: Sequence[Year]
    charts: Sequence[Chart]


def ctx_analysis_of(
    settings: Settings, store: BarStore, backtest: Backtest, zone: str, *, link: Link | None = None
) -> Analysis:
    """The tab of a stored result; `link(symbol, entered, left)` is the address of a trade in the chart."""
    times, columns = equity_columns(settings, store, backtest)
    equity, start = Curve(times, columns["equity"]), curves.start_cash(backtest)
    trades = analysis.closed_trades(settings, backtest)
    whole_money = (backtest.final_equity or 0) >= WHOLE_MONEY
    subject = Subject(zone, backtest.spec.get("annual_days", 365), 0 if whole_money else 2, backtest.timeframe)
    months = ctx_months(curves.monthly_returns(equity, start, zone))
    return {"closed": len(trades), "months": months, "charts": ctx_analysis(trades, equity, start, subject, link)}


def ctx_analysis(
    trades: ClosedTrades, equity: Curve, start: float, subject: Subject, link: Link | None = None
) -> list[Chart]:
    """Every chart that has something to show."""
    charts = [_rolling(equity, start, subject)]
    if len(trades) >= FEW_TRADES:
        charts += [_returns(trades), _excursions(trades, link), _reasons(trades, subject)]
        charts += _calendar(trades, subject)
    return charts


def _returns(trades: ClosedTrades) -> Chart:
    edges, counts = analysis.histogram(trades.return_pct)
    steps = plots.round_steps(0.0, float(counts.max()), 4)
    up, along = plots.y_scale(steps), plots.x_scale(float(edges[0]), float(edges[-1]))
    words = [_("%(low)s to %(high)s", low=_pct(low), high=_pct(high)) for low, high in _pairs(edges)]
    bars, rows = [], []
    for (low, high), many, span in zip(_pairs(edges), counts.tolist(), words, strict=True):
        title = f"{span}: {_trades(many)}"
        left, right = along(low), along(high)
        top = up(float(many))
        kind = "gain" if low >= -1e-12 else "loss"
        bars.append(Mark(left + 0.5, top, max(right - left - 1, 0.5), round(up(0.0) - top, 2), kind, title))
        if many:
            rows.append((span, count(many)))
    mean, median = float(trades.return_pct.mean()), float(np.median(trades.return_pct))
    plot = Plot(
        title=_("Returns of the trades"),
        bars=[bar for bar in bars if bar.height > 0],
        x_ticks=plots.ticks(along, _inner(along, 6), _short_pct),
        y_ticks=plots.ticks(up, _whole(steps), count),
        rules=[Tick(along(min(max(mean, edges[0]), edges[-1])), _("mean %(value)s", value=signed_percent(mean)))],
        x_label=_("return of a trade; the outer bars hold what lies farther out"),
        y_label=_("trades"),
    )
    note = _("mean %(mean)s · median %(median)s", mean=signed_percent(mean), median=signed_percent(median))
    return Chart("returns", _("Returns of the trades"), note, plot, (_("Return"), _("Trades")), rows)


def _excursions(trades: ClosedTrades, link: Link | None) -> Chart:
    known = np.flatnonzero(np.isfinite(trades.mae_pct) & np.isfinite(trades.mfe_pct))
    title, head = _("Against and with the trade"), (_("Trades"), _("Number"), _("Median MAE"), _("Median MFE"))
    if not len(known):
        return Chart("excursions", title, _("Excursions were not recorded for this result."), None, head, ())
    some = trades.only(known)
    shown = analysis.representative(some, MOST_DOTS)
    across = plots.round_steps(0.0, float(-some.mae_pct.min()), 5)
    upwards = plots.round_steps(0.0, float(some.mfe_pct.max()), 4)
    along, up = plots.x_scale(0.0, across[-1]), plots.y_scale(upwards)
    dots = []
    for row in shown.tolist():
        gained = some.return_pct[row] > 0
        said = _trade_words(some, row)
        x, y = along(-float(some.mae_pct[row])), up(float(some.mfe_pct[row]))
        ends = int(some.entered[row]), max(int(some.left[row]), int(some.entered[row]))
        href = link(some.symbol[row], *ends) if link else ""
        dots.append(Mark(x, y, DOT, DOT, "gain" if gained else "loss", said, href))
    plot = Plot(
        title=title,
        dots=dots,
        x_ticks=plots.ticks(along, across, _short_pct),
        y_ticks=plots.ticks(up, upwards, _short_pct),
        x_label=_("MAE: how far it went against the trade"),
        y_label=_("MFE: how far it went with the trade"),
    )
    drawn = _("each dot is a trade; green ended with a profit")
    if len(shown) < len(some):
        drawn = _("%(shown)s of %(all)s trades, the extremes among them", shown=count(len(shown)), all=count(len(some)))
    rows = [
        (name, count(len(part)), _median(part.mae_pct), _median(part.mfe_pct))
        for name, part in (
            (_("with a profit"), some.only(some.return_pct > 0)),
            (_("with a loss"), some.only(some.return_pct <= 0)),
        )
    ]
    return Chart("excursions", title, drawn, plot, head, rows)


def _trade_words(trades: ClosedTrades, row: int) -> str:
    figures = {name: float(getattr(trades, name)[row]) for name in ("return_pct", "mae_pct", "mfe_pct")}
    said: str = _(
        "Trade %(number)s, %(symbol)s: %(gain)s, MAE %(mae)s, MFE %(mfe)s",
        number=count(int(trades.number[row])),
        symbol=trades.symbol[row],
        gain=signed_percent(figures["return_pct"]),
        mae=percent(figures["mae_pct"]),
        mfe=percent(figures["mfe_pct"]),
    )
    return said


def _rolling(equity: Curve, start: float, subject: Subject) -> Chart:
    days, returns = analysis.daily_returns(equity, start, subject.zone)
    window = analysis.sharpe_window(len(days))
    title, head = _("Rolling Sharpe ratio"), (_("Day"), _("Sharpe ratio"))
    if window is None:
        return Chart("rolling", title, _("It needs at least 90 days with equity above zero."), None, head, ())
    values = analysis.rolling_sharpe(returns, window, subject.annual_days)
    ends = days[window - 1 :]
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return Chart("rolling", title, _("The equity never changed for %(days)s days.", days=window), None, head, ())
    kept = known[np.unique(np.linspace(0, len(known) - 1, min(len(known), 700)).astype(np.int64))]
    steps = plots.round_steps(min(0.0, float(values[known].min())), max(0.0, float(values[known].max())), 5)
    along, up = plots.x_scale(float(ends[0]), float(ends[-1])), plots.y_scale(steps)
    points = [(along(float(ends[row])), up(float(values[row]))) for row in kept.tolist()]
    plot = Plot(
        title=title,
        paths=[Path(plots.line(points), "accent", _("Sharpe"))],
        base=up(0.0),
        x_ticks=[Tick(along(float(one)), _month(one)) for one in _spread(ends, 5)],
        y_ticks=plots.ticks(up, steps, lambda value: number(value, 1)),
        y_label=_("Sharpe"),
    )
    note = _("of the last %(window)s days, from daily returns, %(year)s days a year",
             window=window, year=subject.annual_days)  # fmt: skip
    rows = [(_day(int(ends[row])), number(float(values[row]))) for row in _spread(known, 24)]
    return Chart("rolling", title, note, plot, head, rows)


def _calendar(trades: ClosedTrades, subject: Subject) -> list[Chart]:
    weekdays, hours = analysis.weekdays_and_hours(trades.entered, subject.zone)
    names = (_("Mon"), _("Tue"), _("Wed"), _("Thu"), _("Fri"), _("Sat"), _("Sun"))
    by_day = analysis.grouped(trades, weekdays, range(7))
    note = _("mean return of the trades entered then, your time")
    charts = [_columns("weekdays", _("Returns by weekday"), note, by_day, [str(name) for name in names], subject)]
    if subject.timeframe != "1d":  # daily bars open at one hour only
        by_hour = analysis.grouped(trades, hours, range(24))
        labels = [f"{hour:02}" for hour in range(24)]
        charts.append(_columns("hours", _("Returns by hour"), note, by_hour, labels, subject))
    return charts


def _columns(
    id_: str, title: str, note: str, groups: Sequence[Group], labels: Sequence[str], subject: Subject
) -> Chart:
    means = [group.mean_pct for group in groups if group.mean_pct is not None]
    steps = plots.round_steps(min(0.0, *means), max(0.0, *means), 4)
    up, along = plots.y_scale(steps), plots.x_scale(0.0, float(len(groups)))
    width = along(1.0) - along(0.0)
    bars = [
        plots.column(up, along(float(index)) + width * 0.15, width * 0.7, group.mean_pct,
                     title=f"{label}: {signed_percent(group.mean_pct)}, {_trades(group.count)}")
        for index, (group, label) in enumerate(zip(groups, labels, strict=True)) if group.mean_pct is not None
    ]  # fmt: skip
    every = 1 if len(groups) < 12 else 3
    plot = Plot(
        title=title,
        bars=bars,
        base=up(0.0),
        x_ticks=[Tick(along(index + 0.5), label) for index, label in enumerate(labels) if index % every == 0],
        y_ticks=plots.ticks(up, steps, _short_pct),
        y_label=_("mean return"),
    )
    rows = [_group_row(group, label, subject) for group, label in zip(groups, labels, strict=True)]
    return Chart(id_, title, note, plot, _group_head(_("Entered")), rows)


def _reasons(trades: ClosedTrades, subject: Subject) -> Chart:
    names = sorted(set(trades.reason.tolist()), key=lambda name: (-int((trades.reason == name).sum()), str(name)))
    groups = analysis.grouped(trades, trades.reason, names)
    labels = [said(str(group.name)) if group.name else _("not recorded") for group in groups]
    rows = [_group_row(group, label, subject) for group, label in zip(groups, labels, strict=True)]
    height = 30.0 * len(groups) + 40
    steps = plots.round_steps(0.0, float(max(group.count for group in groups)), 5)
    along = plots.x_scale(0.0, steps[-1], left=96)
    bars, lines = [], []
    for index, (group, label) in enumerate(zip(groups, labels, strict=True)):
        y = plots.TOP + 30.0 * index + 4
        title = f"{label}: {_trades(group.count)}, {signed_percent(group.mean_pct)}"
        kind = "gain" if (group.mean_pct or 0.0) > 0 else "loss"
        bars.append(Mark(96, y, max(along(float(group.count)) - 96, 1.0), 20, kind, title))
        lines.append(Tick(y + 14, label))
    plot = Plot(title=_("Exit reasons"), height=height, left=96, bars=bars, y_ticks=lines,
                x_ticks=plots.ticks(along, _whole(steps), count), x_label=_("trades"))  # fmt: skip
    note = _("green where the mean return is a profit")
    return Chart("reasons", _("Exit reasons"), note, plot, _group_head(_("Exit by")), rows)


def _group_head(first: str) -> Row:
    return (first, _("Trades"), _("Win rate"), _("Mean return"), _("PnL"))


def _group_row(group: Group, label: str, subject: Subject) -> Row:
    rate = percent(group.wins / group.count * 100, 1) if group.count else "–"
    pnl = signed(group.pnl, subject.digits) if group.count else "–"
    return (label, count(group.count), rate, signed_percent(group.mean_pct), pnl)


def _pairs(edges: NDArray[np.float64]) -> list[tuple[float, float]]:
    return list(pairwise(edges.tolist()))


def _spread(values: NDArray[np.int64], most: int) -> list[int]:
    picked = np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(np.int64))
    found: list[int] = values[picked].tolist()
    return found


def _inner(scale: plots.Scale, many: int) -> list[float]:
    steps = plots.round_steps(scale.low, scale.high, many)
    return [step for step in steps if scale.low - 1e-9 <= step <= scale.high + 1e-9]


def _whole(steps: Sequence[float]) -> list[float]:
    return [step for step in steps if float(step).is_integer()]


def _median(values: NDArray[np.float64]) -> str:
    return percent(float(np.median(values))) if len(values) else "–"


def _trades(many: int) -> str:
    return str(ngettext("%(num)d trade", "%(num)d trades", many))


def _pct(value: float) -> str:
    return f"{value + 0.0:.4g}%"


def _short_pct(value: float) -> str:
    return f"{round(value, 10) + 0.0:.4g}%"


def _day(number_: int) -> str:
    return day(datetime.fromtimestamp(number_ * 86_400, UTC))


def _month(number_: int) -> str:
    return month_of_year(datetime.fromtimestamp(number_ * 86_400, UTC))
