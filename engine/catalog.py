"""The strategies a backtest can name: data with dotted paths, so a form can be drawn without loading any of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from engine.errors import SpecError
from engine.lines import DrawnLine, Line, Lines, no_lines
from engine.params import Params, ParamSpec, nearest

if TYPE_CHECKING:
    from engine.bars import Bars
    from engine.signals import Signals

SignalsFunction = Callable[["Bars", Params], "Signals"]
LinesFunction = Callable[["Bars", Params], Sequence[DrawnLine]]


@dataclass(frozen=True, kw_only=True)
class StrategySpec:
    """One strategy: what people call it, its params, and where its rule lives.

    `signals`: dotted path "package.module:function" to `signals(bars, params) -> Signals`, imported at first use.
    `warmup(params)`: bars needed before the first signal is possible.
    `check(params)`: rules between params; raises SpecError. Runs after each param is in its own range.
    `memory(params)`: when given, the signal at bar i depends on bars i - memory .. i only, to the last bit, so that
    long runs can be computed piece by piece; None: it may depend on every earlier bar.
    `lines(params)`: the indicators to draw in a chart of it.
    `drawn`: when given, dotted path to `lines(bars, params) -> [DrawnLine, ...]`, which says so by values instead.
    """

    name: str
    label: str
    help: str
    params: tuple[ParamSpec, ...]
    signals: str
    warmup: Callable[[Params], int]
    check: Callable[[Params], None] | None = None
    memory: Callable[[Params], int] | None = None
    lines: Lines = no_lines
    drawn: str | None = None


Catalog = Mapping[str, StrategySpec]


def whole(params: Params, name: str) -> int:
    """A whole-number param, typed as int; the params of a parsed spec hold every default."""
    return int(cast("int", params[name]))


def number(params: Params, name: str) -> float:
    """A number param, typed as float; the params of a parsed spec hold every default."""
    return float(cast("float", params[name]))


def _below(low: str, high: str) -> Callable[[Params], None]:
    def check(params: Params) -> None:
        if number(params, low) >= number(params, high):
            allowed = f"less than {high} ({params[high]})"
            raise SpecError(f"params.{low}", params[low], allowed, f"{low} ({params[low]}) must be {allowed}")

    return check


def _int(name: str, default: int, bounds: tuple[int, int], label: str, help_: str) -> ParamSpec:
    low, high = bounds
    return ParamSpec(name=name, type="int", default=default, minimum=low, maximum=high, step=1, label=label, help=help_)


def _bollinger_lines(params: Params) -> tuple[Line, ...]:
    period, width = whole(params, "period"), number(params, "deviations")
    return (
        Line(f"Mean {period}", "sma", (period,), faint=True),
        Line(f"+{width:g} sd", "bollinger", (period, width)),
        Line(f"-{width:g} sd", "bollinger", (period, -width)),
    )


def _rsi_lines(params: Params) -> tuple[Line, ...]:
    levels = [Line(f"{number(params, name):g}", "level", (number(params, name),), "below", True)
              for name in ("lower", "upper")]  # fmt: skip
    return (Line(f"RSI {params['period']}", "rsi", (whole(params, "period"),), "below"), *levels)


def _macd_lines(params: Params) -> tuple[Line, ...]:
    fast, slow, signal = (whole(params, name) for name in ("fast", "slow", "signal"))
    return (
        Line(f"MACD {fast}, {slow}", "macd", (fast, slow), "below"),
        Line(f"Signal {signal}", "macd_signal", (fast, slow, signal), "below", True),
    )


def _zone_lines(params: Params) -> tuple[Line, ...]:
    names = ("volume_window", "top_percentile", "num_bins", "include_wicks", "breakout_buffer")
    window, share, bins, wicks, buffer = (number(params, name) for name in names)
    return (Line("Breakout from", "resistance", (window, share, 1.0 + buffer, bins, wicks)),)


_HOLD = _int("hold_period_bars", 1, (1, 1000), "Hold for (bars)", "The position is closed after this many bars.")

_ALL = (
    StrategySpec(
        name="volume_zone_breakout",
        label="Volume zone breakout",
        help="Finds the price zone above which the given share of the recent volume was traded, and buys when a bar's "
        "high reaches its lower edge. Sells after a fixed number of bars.",
        params=(
            _int("volume_window", 10, (1, 500), "Window (bars)", "Bars before this one that make the volume profile."),
            ParamSpec(
                name="top_percentile",
                type="float",
                default=0.2,
                minimum=0,
                exclusive_minimum=True,
                maximum=1,
                step=0.01,
                label="Top share of volume",
                help="Resistance lies where this share of the window's volume, counted from the top down, is reached.",
            ),
            ParamSpec(
                name="breakout_buffer",
                type="float",
                default=0.0,
                minimum=0,
                maximum=1,
                step=0.001,
                label="Breakout buffer",
                help="How far above the resistance the high must reach, as a fraction of it.",
            ),
            _int(
                "num_bins",
                20,
                (1, 200),
                "Price bins",
                "Equal price zones between the window's lowest and highest price.",
            ),
            ParamSpec(
                name="include_wicks",
                type="bool",
                default=True,
                label="Include wicks",
                help="On: bars reach from low to high. Off: from the lower to the higher of open and close.",
            ),
            _HOLD,
        ),
        signals="engine.strategies.volume_zone_breakout:signals",
        warmup=lambda params: whole(params, "volume_window"),
        memory=lambda params: whole(params, "volume_window"),
        lines=_zone_lines,
    ),
    StrategySpec(
        name="volume_long_candle",
        label="High-volume long candle",
        help="Buys after a rising bar with a long body, short wicks and much more volume than usual. "
        "Sells after a fixed number of bars.",
        params=(
            _int(
                "vol_ma_window", 20, (1, 500), "Volume average (bars)", "Bars in the average volume, this bar included."
            ),
            ParamSpec(
                name="vol_multiplier",
                type="float",
                default=1.5,
                minimum=0,
                exclusive_minimum=True,
                maximum=20,
                step=0.1,
                label="Volume multiple",
                help="The bar's volume must be at least this many times the average.",
            ),
            ParamSpec(
                name="body_pct",
                type="float",
                default=0.01,
                minimum=0,
                exclusive_minimum=True,
                maximum=1,
                step=0.001,
                label="Body",
                help="Smallest rise from open to close, as a fraction of the open. Wicks must stay under twice this.",
            ),
            _HOLD,
        ),
        signals="engine.strategies.volume_long_candle:signals",
        warmup=lambda _: 0,
        memory=lambda params: whole(params, "vol_ma_window") - 1,
        lines=lambda params: (
            Line(
                f"{params['vol_multiplier']} x mean volume",
                "mean_volume",
                (whole(params, "vol_ma_window"), number(params, "vol_multiplier")),
                "volume",
            ),
        ),
    ),
    StrategySpec(
        name="sma_cross",
        label="Moving average cross",
        help="Buys when the fast average of closes crosses above the slow one, sells when it crosses below. "
        "Short: the reverse.",
        params=(
            _int("fast", 10, (1, 999), "Fast average (bars)", "Closes in the fast average."),
            _int("slow", 30, (2, 1000), "Slow average (bars)", "Closes in the slow average; more than the fast one."),
        ),
        signals="engine.strategies.sma_cross:signals",
        warmup=lambda params: whole(params, "slow"),
        check=_below("fast", "slow"),
        memory=lambda params: whole(params, "slow"),
        lines=lambda params: tuple(
            Line(f"Mean {params[name]}", "sma", (whole(params, name),)) for name in ("fast", "slow")
        ),
    ),
    StrategySpec(
        name="rsi_reversion",
        label="RSI reversion",
        help="Buys while Wilder's RSI is below the lower level, sells while it is above the upper level. "
        "Short: the levels mirrored around 50.",
        params=(
            _int("period", 14, (1, 500), "Period (bars)", "Smoothing period of the average gain and loss."),
            ParamSpec(
                name="lower",
                type="float",
                default=30.0,
                minimum=0,
                maximum=100,
                step=1,
                label="Buy below",
                help="RSI level under which to buy.",
            ),
            ParamSpec(
                name="upper",
                type="float",
                default=55.0,
                minimum=0,
                maximum=100,
                step=1,
                label="Sell above",
                help="RSI level over which to sell; more than the lower level.",
            ),
        ),
        signals="engine.strategies.rsi_reversion:signals",
        warmup=lambda params: whole(params, "period"),
        check=_below("lower", "upper"),
        lines=_rsi_lines,
    ),
    StrategySpec(
        name="donchian_breakout",
        label="Donchian breakout",
        help="Buys when the close is above every high of the entry window, sells when it is below every low of the "
        "exit window. Short: the reverse.",
        params=(
            _int(
                "entry",
                20,
                (1, 1000),
                "Entry window (bars)",
                "Bars before this one whose extreme must be broken to enter.",
            ),
            _int(
                "exit",
                10,
                (1, 1000),
                "Exit window (bars)",
                "Bars before this one whose opposite extreme ends the position.",
            ),
        ),
        signals="engine.strategies.donchian_breakout:signals",
        warmup=lambda params: whole(params, "entry"),
        memory=lambda params: max(whole(params, "entry"), whole(params, "exit")),
        lines=lambda params: (
            Line(f"High of {params['entry']}", "highest_before", (whole(params, "entry"),)),
            Line(f"Low of {params['exit']}", "lowest_before", (whole(params, "exit"),)),
        ),
    ),
    StrategySpec(
        name="bollinger_reversion",
        label="Bollinger reversion",
        help="Buys when the close is below the lower Bollinger band, sells when it is back at the middle or above. "
        "Short: above the upper band, back to the middle.",
        params=(
            _int("period", 20, (2, 500), "Period (bars)", "Closes in the average and the standard deviation."),
            ParamSpec(
                name="deviations",
                type="float",
                default=2.0,
                minimum=0,
                exclusive_minimum=True,
                maximum=10,
                step=0.1,
                label="Band width",
                help="Standard deviations from the middle to each band.",
            ),
        ),
        signals="engine.strategies.bollinger_reversion:signals",
        warmup=lambda params: whole(params, "period") - 1,
        memory=lambda params: whole(params, "period") - 1,
        lines=_bollinger_lines,
    ),
    StrategySpec(
        name="macd_cross",
        label="MACD cross",
        help="Buys when the MACD line crosses above its signal line, sells when it crosses below. Short: the reverse.",
        params=(
            _int("fast", 12, (1, 499), "Fast average (bars)", "Period of the fast exponential average of closes."),
            _int(
                "slow",
                26,
                (2, 500),
                "Slow average (bars)",
                "Period of the slow exponential average; more than the fast one.",
            ),
            _int("signal", 9, (1, 500), "Signal line (bars)", "Period of the exponential average of the MACD line."),
        ),
        signals="engine.strategies.macd_cross:signals",
        warmup=lambda params: whole(params, "slow") + whole(params, "signal") - 1,
        check=_below("fast", "slow"),
        lines=_macd_lines,
    ),
    StrategySpec(
        name="buy_and_hold",
        label="Buy and hold",
        help="Buys at the first bar and keeps: the yardstick for every other strategy.",
        params=(),
        signals="engine.strategies.buy_and_hold:signals",
        warmup=lambda _: 0,
    ),
)

STRATEGIES: dict[str, StrategySpec] = {strategy.name: strategy for strategy in _ALL}


def extended_catalog(extra: Iterable[StrategySpec], base: Catalog = STRATEGIES) -> Catalog:
    """A read-only catalogue of `base` and `extra`; SpecError when a name is taken. `base` is left as it is.

    Pass the result as `strategies=` wherever a catalogue is read (parse_spec, simulate, check_lookahead).
    """
    catalog = dict(base)
    for strategy in extra:
        if strategy.name in catalog:
            raise SpecError("strategy", strategy.name, "a name that no other strategy has")
        catalog[strategy.name] = strategy
    return MappingProxyType(catalog)


def get_strategy(name: str, strategies: Catalog = STRATEGIES) -> StrategySpec:
    """The strategy of that name, or SpecError("strategy") with the nearest name there is."""
    if name in strategies:
        return strategies[name]
    hint = nearest(name, list(strategies))
    raise SpecError("strategy", name, f"one of {', '.join(strategies)}", f"unknown strategy {name!r}; {hint}")


def load_signals(strategy: StrategySpec) -> SignalsFunction:
    """The strategy's `signals` function, its module imported now (and with it numba, for the shipped ones)."""
    return cast("SignalsFunction", _loaded(strategy.signals))


def load_drawn(strategy: StrategySpec) -> LinesFunction | None:
    """The function that draws the strategy's lines, or None when it has none of its own."""
    return None if strategy.drawn is None else cast("LinesFunction", _loaded(strategy.drawn))


def _loaded(path: str) -> object:
    module, _, function = path.partition(":")
    return getattr(import_module(module), function)
