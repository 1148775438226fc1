"""The report of a result: everything that its page shows, with charts that need no script."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypedDict
from zoneinfo import ZoneInfo

from flask_babel import gettext as _

from engine.catalog import Catalog
from storage_core.bar_store import BarStore
from storage_core.models import Backtest
from storage_core.settings import Settings
from webapp import plots, sampling, trades
from webapp.charts import equity_columns
from webapp.context import result
from webapp.context.analysis import Chart, ctx_analysis_of
from webapp.context.setup import Setup, ctx_setup
from webapp.filters import compact, currency, day_of_month, month_name, number
from webapp.plots import Path, Plot, Tick

if TYPE_CHECKING:
    from webapp.chart_cache import Columns, Times

MOST_TRADES: Final = 500
POINTS: Final = 900
WIDTH: Final = 1000
TALL: Final = 320
LOW: Final = 150
LEFT: Final = 58


class Report(TypedDict):
    """What the report shows besides the head."""

    strip: Sequence[result.Figure]
    checks: Sequence[result.Check]
    assumptions: Sequence[tuple[str, str]]
    months: Sequence[result.Year]
    month_names: Sequence[Any]
    symbol_rows: Sequence[dict[str, Any]]
    equity: Sequence[Plot]
    charts: Sequence[Chart]
    setup: Setup
    found: trades.TradesPage
    made_at: datetime


def ctx_report(settings: Settings, store: BarStore, backtest: Backtest, zone: str, catalog: Catalog) -> Report:
    """Everything, read once. Raises ResultMissing and ResultDamaged."""
    quote = currency(backtest.symbols)
    analysed = ctx_analysis_of(settings, store, backtest, zone)
    return {
        "strip": result.ctx_strip(backtest, quote),
        "checks": result.ctx_checks(backtest),
        "assumptions": result.ctx_assumptions(backtest, quote),
        "months": analysed["months"],
        "month_names": result.month_names(),
        "symbol_rows": trades.read_symbols(settings, backtest),
        "equity": ctx_equity(*equity_columns(settings, store, backtest), zone),
        "charts": analysed["charts"],
        "setup": ctx_setup(backtest, zone, catalog),
        "found": trades.read_trades(settings, backtest, size=MOST_TRADES),
        "made_at": datetime.now(UTC),
    }


def ctx_equity(times: Times, columns: Columns, zone: str) -> list[Plot]:
    """Equity with buy and hold, and the drawdown below it; nothing for a result without a curve."""
    if len(times) < 2:
        return []
    kept = sampling.shared_indices(list(columns.values()), POINTS)
    along = plots.x_scale(float(times[0]), float(times[-1]), width=WIDTH, left=LEFT)
    across = [along(float(stamp)) for stamp in times[kept].tolist()]
    x_ticks = [Tick(along(at), text) for at, text in time_ticks(int(times[0]), int(times[-1]), zone)]
    shown = {name: column[kept].tolist() for name, column in columns.items()}
    money = [shown["equity"], *([shown["hold"]] if "hold" in shown else [])]
    steps = plots.round_steps(min(min(one) for one in money), max(max(one) for one in money), 5)
    up = plots.y_scale(steps, height=TALL)
    paths = []
    if "hold" in shown:
        held = list(zip(across, map(up, shown["hold"]), strict=True))
        paths.append(Path(plots.line(held), "muted", _("buy and hold")))
    line = list(zip(across, map(up, shown["equity"]), strict=True))
    paths.append(Path(plots.line(line), "accent", _("equity"), plots.area(line, TALL - plots.BOTTOM)))
    equity = Plot(title=_("Equity"), width=WIDTH, left=LEFT, height=TALL, paths=paths, x_ticks=x_ticks,
                  y_ticks=plots.ticks(up, steps, lambda value: compact(value).replace(".00", "")))  # fmt: skip
    drops = plots.round_steps(min(-0.01, *shown["drawdown"]), 0.0, 3)
    down = plots.y_scale(drops, height=LOW)
    fall = list(zip(across, map(down, shown["drawdown"]), strict=True))
    drawn = [Path(plots.line(fall), "loss", _("drawdown"), plots.area(fall, down(0.0)))]
    words = plots.ticks(down, drops, lambda value: f"{number(value, 0 if drops[1] - drops[0] >= 1 else 1)}%")
    below = Plot(title=_("Drawdown"), width=WIDTH, left=LEFT, height=LOW, paths=drawn, x_ticks=x_ticks, y_ticks=words)
    return [equity, below]


def time_ticks(first: int, last: int, zone: str) -> list[tuple[float, str]]:
    """Instants (microseconds) for an axis with about six words: years, months or days of `zone`."""
    days = (last - first) / 86_400_000_000
    at = datetime.fromtimestamp(first / 1e6, UTC).astimezone(ZoneInfo(zone))
    if days > 62:
        step = next(months for months in (1, 2, 3, 6, 12, 24, 60, 120, 1200) if days / (months * 30.4) <= 7)
        index = -(-(at.year * 12 + at.month) // step) * step  # the first whole step after the first month
        starts = [divmod(index + number_ * step, 12) for number_ in range(9)]
        instants = [datetime(year, month + 1, 1, tzinfo=ZoneInfo(zone)) for year, month in starts]
        words = [f"{one:%Y}" if one.month == 1 else month_name(one.month) for one in instants]
    else:
        spread = [first + (last - first) * part / 6 for part in range(1, 6)]
        instants = [datetime.fromtimestamp(one / 1e6, UTC).astimezone(ZoneInfo(zone)) for one in spread]
        words = [day_of_month(one) if days > 5 else f"{one:%d %H:%M}" for one in instants]
    marks = [(one.timestamp() * 1e6, word) for one, word in zip(instants, words, strict=True)]
    return [(stamp, word) for stamp, word in marks if first <= stamp <= last]
