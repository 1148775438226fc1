"""BacktestSpec: everything that decides a backtest's outcome besides the bars themselves, and its one parser."""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any, Literal, TypeVar, cast
from zoneinfo import ZoneInfo

from engine.catalog import STRATEGIES, Catalog, StrategySpec, get_strategy
from engine.errors import SpecError, SpecErrors
from engine.fields import SPEC_FIELDS, TIMEFRAMES
from engine.params import ParamSpec, ParamValue, check_param, nearest

__all__ = [
    "SPEC_FIELDS",
    "TIMEFRAMES",
    "BacktestSpec",
    "Costs",
    "Exits",
    "ParamSpec",
    "Sizing",
    "parse_spec",
    "spec_to_dict",
]

MAX_SYMBOLS = 200
_SYMBOL = re.compile(r"[A-Z0-9]{1,15}-[A-Z0-9]{1,15}")
_SYMBOL_RULE = "QUOTE-BASE in capitals and digits, such as KRW-BTC"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What every fill costs, as fractions 0..0.1: fee on its value, slippage on its price."""

    fee_rate: float = 0.001
    slippage_rate: float = 0.0002


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """How much an entry buys. `value`: fraction 0..1, money, or quantity, by kind; None for all_in."""

    kind: Literal["all_in", "fraction", "fixed_notional", "fixed_quantity"] = "all_in"
    value: float | None = None
    quantity_step: float | None = None
    price_tick: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exits:
    """When a position ends besides exit signals; fractions of the entry price, trailing from the best price since."""

    hold_bars: int | None = None
    stop_loss: float | None = None
    take_profit: float | None = None
    trailing_stop: float | None = None
    stops_from: Literal["entry_bar", "next_bar"] = "entry_bar"


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestSpec:
    """One backtest. Dates are calendar days in `timezone`, both inclusive; `initial_cash` is per symbol."""

    strategy: str
    params: dict[str, ParamValue]
    symbols: tuple[str, ...]
    timeframe: str
    start_date: date
    end_date: date
    candle_size: int | None = None
    initial_cash: float = 10_000.0
    costs: Costs = field(default_factory=Costs)
    sizing: Sizing = field(default_factory=Sizing)
    exits: Exits = field(default_factory=Exits)
    fill: Literal["next_open", "same_close"] = "next_open"
    direction: Literal["long", "short", "both"] = "long"
    timezone: str = "UTC"
    annual_days: int = 365


_GROUPS: dict[str, type] = {"costs": Costs, "sizing": Sizing, "exits": Exits}
_PLAIN = ("timeframe", "candle_size", "initial_cash", "fill", "direction", "annual_days")
_KEYS = ("strategy", "params", "symbols", "start_date", "end_date", "timezone", *_GROUPS, *_PLAIN)


def spec_to_dict(spec: BacktestSpec) -> dict[str, Any]:
    """Plain JSON of a spec, every default resolved: dates as ISO strings, symbols as a list; parse_spec reads it."""
    plain = asdict(spec)
    plain["symbols"] = list(spec.symbols)
    plain["start_date"] = spec.start_date.isoformat()
    plain["end_date"] = spec.end_date.isoformat()
    return plain


def parse_spec(raw: Mapping[str, object], strategies: Catalog = STRATEGIES) -> BacktestSpec:
    """A BacktestSpec from plain JSON of the shape that spec_to_dict gives; what is left out takes its default.

    Raises SpecErrors with every problem at once: unknown keys, wrong types, values out of range, rules between fields.
    """
    return _Reader(raw, strategies).spec()


class _Reader:
    """Reads field by field and keeps every problem, so that a person sees all of them in one go."""

    def __init__(self, raw: Mapping[str, object], strategies: Catalog) -> None:
        self.raw = raw
        self.strategies = strategies
        self.errors: list[SpecError] = []

    def spec(self) -> BacktestSpec:
        self.refuse_unknown(self.raw, _KEYS, prefix="")
        if "timeframe" not in self.raw:
            self.errors.append(SpecError("timeframe", None, SPEC_FIELDS["timeframe"].allowed))
        strategy = self.attempt(self.strategy)
        values: dict[str, Any] = {
            "strategy": strategy.name if strategy else "",
            "params": self.params(strategy) if strategy else {},
            "symbols": self.symbols(),
            "start_date": self.attempt(lambda: self.day("start_date")),
            "end_date": self.attempt(lambda: self.day("end_date")),
            "timezone": self.attempt(self.zone),
        }
        for name in _PLAIN:
            values[name] = self.limited(name, self.raw)
        for name, kind in _GROUPS.items():
            values[name] = self.group(name, kind)
        self.check_between(values)
        if self.errors:
            raise SpecErrors(self.errors)
        return BacktestSpec(**values)

    def attempt(self, read: Callable[[], _T]) -> _T | None:
        try:
            return read()
        except SpecError as error:
            self.errors.append(error)
            return None

    def refuse_unknown(self, given: Mapping[str, object], known: tuple[str, ...], prefix: str) -> None:
        for key in given:
            if key not in known:
                allowed = nearest(str(key), list(known)) if known else "no fields here"
                sentence = f"unknown field {prefix + str(key)!r}; {allowed}"
                self.errors.append(SpecError(f"{prefix}{key}", given[key], allowed, sentence))

    def strategy(self) -> StrategySpec:
        name = self.raw.get("strategy")
        if not isinstance(name, str):
            raise SpecError("strategy", name, f"one of {', '.join(self.strategies)}")
        return get_strategy(name, self.strategies)

    def params(self, strategy: StrategySpec) -> dict[str, ParamValue]:
        given = self.mapping("params")
        before = len(self.errors)
        self.refuse_unknown(given, tuple(param.name for param in strategy.params), prefix="params.")
        params = {
            param.name: self.attempt(lambda p=param: _checked(p, given, f"params.{p.name}"))  # type: ignore[misc]
            for param in strategy.params
        }
        check = strategy.check
        if check is not None and len(self.errors) == before:
            self.attempt(lambda: check(params))
        return params

    def mapping(self, name: str) -> Mapping[str, object]:
        given = self.raw.get(name, {})
        if isinstance(given, Mapping):
            return cast("Mapping[str, object]", given)
        self.errors.append(SpecError(name, given, "an object of names and values"))
        return {}

    def symbols(self) -> tuple[str, ...]:
        given = self.raw.get("symbols")
        if not isinstance(given, list | tuple) or not 1 <= len(given) <= MAX_SYMBOLS:
            self.errors.append(SpecError("symbols", given, f"a list of 1 to {MAX_SYMBOLS} symbols"))
            return ()
        for symbol in given:
            if not isinstance(symbol, str) or not _SYMBOL.fullmatch(symbol):
                self.errors.append(SpecError("symbols", symbol, _SYMBOL_RULE))
        for symbol in sorted({str(symbol) for symbol in given if given.count(symbol) > 1}):
            self.errors.append(SpecError("symbols", symbol, "each symbol once", f"symbol {symbol} is named twice"))
        return tuple(str(symbol) for symbol in given)

    def day(self, name: str) -> date:
        given = self.raw.get(name)
        if isinstance(given, date) and not isinstance(given, datetime):
            return given
        try:
            return date.fromisoformat(cast("str", given))
        except (TypeError, ValueError) as error:
            raise SpecError(name, given, "a date such as 2024-12-31") from error

    def zone(self) -> str:
        given = self.raw.get("timezone", "UTC")
        try:
            return ZoneInfo(cast("str", given)).key
        except (TypeError, ValueError, OSError, KeyError, AttributeError) as error:
            raise SpecError("timezone", given, "a time zone name such as UTC or Asia/Seoul") from error

    def limited(self, path: str, given: Mapping[str, object]) -> ParamValue:
        return self.attempt(lambda: _checked(SPEC_FIELDS[path], given, path))

    def group(self, name: str, kind: type) -> object:
        given = self.mapping(name)
        keys = tuple(path.partition(".")[2] for path in SPEC_FIELDS if path.startswith(f"{name}."))
        self.refuse_unknown(given, keys, prefix=f"{name}.")
        return kind(**{key: self.limited(f"{name}.{key}", given) for key in keys})

    def check_between(self, values: Mapping[str, Any]) -> None:
        start, end = values["start_date"], values["end_date"]
        if start and end and start > end:
            self.errors.append(SpecError("start_date", start.isoformat(), f"on or before end_date ({end.isoformat()})"))
        if not any(error.field.startswith("sizing.") for error in self.errors):
            self.attempt(lambda: _check_sizing(values["sizing"]))


def _check_sizing(sizing: Sizing) -> None:
    if sizing.kind == "all_in" and sizing.value is not None:
        raise SpecError("sizing.value", sizing.value, "nothing: all_in uses all cash")
    if sizing.kind != "all_in" and sizing.value is None:
        raise SpecError("sizing.value", None, f"a number above 0 for {sizing.kind}")
    if sizing.kind == "fraction" and (sizing.value or 0) > 1:
        raise SpecError("sizing.value", sizing.value, "a fraction above 0 and up to 1: there is no leverage")


def _checked(param: ParamSpec, given: Mapping[str, object], path: str) -> ParamValue:
    return check_param(param, given.get(param.name, param.default), path)
