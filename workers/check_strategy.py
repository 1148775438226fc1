"""`flask check-strategy NAME`: run a strategy over stored bars and see whether it knows the future."""

import argparse
import sys
from collections.abc import Sequence

from engine.bars import Bars
from engine.catalog import Catalog, StrategySpec, get_strategy
from engine.drawn_lines import check_drawn, draw_lines
from engine.errors import EngineError, LinesError
from engine.lookahead import check_lookahead
from engine.simulation import simulate
from engine.spec import BacktestSpec, parse_spec
from storage_core.bar_store import Coverage
from storage_core.bars import bar_store_for
from storage_core.errors import SettingsError, StorageError
from storage_core.settings import Settings
from workers import custom_strategies


def main(argv: Sequence[str] | None = None) -> int:
    """Print what was found; 0 when the strategy may be trusted, 1 when not, 2 when it cannot be checked."""
    parser = argparse.ArgumentParser(prog="flask check-strategy", description=__doc__)
    parser.add_argument("name", help="name of a shipped strategy, or of a file in STRATEGIES_DIR without its .py")
    name = parser.parse_args(argv).name
    try:
        settings = Settings.from_env()
        found = custom_strategies.find(settings.strategies_dir)
        broken = {one.name: one.error for one in found if one.error}
        if name in broken:
            return _say(f"{name} cannot be loaded: {broken[name]}", status=1)
        coverage = bar_store_for(settings).inventory()
        if not coverage:
            return _say("there are no bars to check it on; start the product once, it brings sample bars", status=2)
        results = [_check(name, settings, one, custom_strategies.catalog_of(found)) for one in coverage]
    except (EngineError, StorageError, SettingsError) as error:
        return _say(str(error), status=1)
    return 0 if all(results) else 1


def _check(name: str, settings: Settings, coverage: Coverage, strategies: Catalog) -> bool:
    spec = _default_spec(name, coverage, strategies)
    bars = Bars(**bar_store_for(settings).read(coverage.symbol, coverage.timeframe, None, None).columns())
    run = simulate(bars, spec, strategies=strategies)
    report = check_lookahead(bars, spec, run.wishes, strategies=strategies)
    where = f"{coverage.symbol} {coverage.timeframe}, {len(bars):,} bars, {len(run.trades):,} trades"
    if report.ok:
        _say(f"ok    {where}: signals identical with the future cut off at {report.prefixes} places")
    else:
        _say(f"FAIL  {where}: the signal of bar {report.first_bar} changes when later bars are cut off (lookahead)")
    return _check_lines(get_strategy(name, strategies), run.bars, spec) and report.ok


def _check_lines(strategy: StrategySpec, bars: Bars, spec: BacktestSpec) -> bool:
    """Whether the lines that the strategy draws, if it draws any, can be drawn."""
    if strategy.drawn is None:
        return True
    try:
        lines = draw_lines(strategy, bars, spec.params)
        check_drawn(strategy, bars, spec.params, lines)
    except LinesError as error:
        _say(f"FAIL  its lines would not be drawn: {error}")
        return False
    _say(f"ok    lines: {', '.join(line.label for line in lines) or 'none'}")
    return True


def _default_spec(name: str, coverage: Coverage, strategies: Catalog) -> BacktestSpec:
    return parse_spec(
        {
            "strategy": name,
            "symbols": [coverage.symbol],
            "timeframe": coverage.timeframe,
            "start_date": coverage.first.date(),
            "end_date": coverage.last.date(),
        },
        strategies,
    )


def _say(text: str, *, status: int = 0) -> int:
    sys.stdout.write(text + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
