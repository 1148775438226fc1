"""Writes tests/data/engine: what vectorbt and backtesting.py make of the sample bars. Needs the peers group installed.

python -m tests.engine.make_golden
"""

import contextlib
import io
import json
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[2]
SAMPLE, TARGET = ROOT / "storage_core" / "sample", ROOT / "tests" / "data" / "engine"
CASH = 1e6
DATA = {"USD-BTC_1h": 1500, "USD-ETH_1d": 1500, "USD-LTC_1d": 1500}
RULES = {
    "next_open": {"fill": "next_open", "fee": 0.001, "slippage": 0.0, "stop": None, "target": None},
    "same_close": {"fill": "same_close", "fee": 0.001, "slippage": 0.0, "stop": None, "target": None},
    "slippage": {"fill": "next_open", "fee": 0.0005, "slippage": 0.001, "stop": None, "target": None},
    "stops": {"fill": "next_open", "fee": 0.001, "slippage": 0.0, "stop": 0.03, "target": 0.06},
}


def sma_cross(bars: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    apart = (bars.close.rolling(10).mean() - bars.close.rolling(30).mean()).round(9)
    before = apart.shift(1)
    return (before <= 0) & (apart > 0), (before >= 0) & (apart < 0)


def donchian_breakout(bars: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    top, bottom = bars.high.rolling(20).max().shift(1), bars.low.rolling(10).min().shift(1)
    return bars.close > top, (bars.close < bottom) & (np.arange(len(bars)) >= 20)


STRATEGIES = {"sma_cross": sma_cross, "donchian_breakout": donchian_breakout}


def by_vectorbt(bars: pd.DataFrame, enter: pd.Series, leave: pd.Series, rule: dict) -> dict:
    import vectorbt as vbt

    price = bars.close
    if rule["fill"] == "next_open":
        price = bars.open
        enter, leave = (flags.shift(1, fill_value=False) for flags in (enter, leave))
    run = vbt.Portfolio.from_signals(
        bars.close, enter, leave, price=price, fees=rule["fee"], slippage=rule["slippage"], init_cash=CASH,
        direction="longonly", freq="1h",
    )  # fmt: skip
    trades = run.trades.records
    rows = [
        [
            int(row.entry_idx),
            int(row.exit_idx) if row.status == 1 else None,
            row.entry_price,
            row.exit_price,
            row["size"],
        ]
        for _, row in trades.iterrows()
    ]
    return {"final_equity": float(run.value().iloc[-1]), "trades": rows}


def by_backtesting_py(bars: pd.DataFrame, enter: pd.Series, leave: pd.Series, rule: dict) -> dict:
    from backtesting import Strategy
    from backtesting.lib import FractionalBacktest

    class Planned(Strategy):
        def init(self):
            pass

        def next(self):
            now = len(self.data) - 1
            for trade in self.trades:  # levels hang on the fill, and are live from the next bar
                if rule["stop"]:
                    trade.sl = trade.entry_price * (1 - rule["stop"])
                    trade.tp = trade.entry_price * (1 + rule["target"])
            if self.position and leave.iloc[now]:
                self.position.close()
            elif not self.position and enter.iloc[now]:
                self.buy(size=0.9999999999)

    frame = bars.rename(columns=str.capitalize)
    with contextlib.redirect_stderr(io.StringIO()):
        stats = FractionalBacktest(
            frame, Planned, cash=CASH, commission=rule["fee"], trade_on_close=rule["fill"] == "same_close",
            fractional_unit=1e-8,
        ).run()  # fmt: skip
    rows = [[int(row.EntryBar), int(row.ExitBar), row.EntryPrice, row.ExitPrice] for row in stats._trades.itertuples()]
    return {"final_equity": float(stats["Equity Final [$]"]), "trades": rows}


def main() -> None:
    warnings.filterwarnings("ignore")
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, count in DATA.items():
        bars = pd.read_parquet(SAMPLE / f"{name}.parquet").set_index("timestamp").tail(count)
        for strategy, rule_of in STRATEGIES.items():
            enter, leave = rule_of(bars)
            cases = {}
            for variant, rule in RULES.items():
                engines = {}
                if not rule["stop"]:  # vectorbt lets a stop go before an exit that already waits for the open
                    engines["vectorbt"] = by_vectorbt(bars, enter, leave, rule)
                if not rule["slippage"]:  # backtesting.py slips entries only
                    engines["backtesting.py"] = by_backtesting_py(bars, enter, leave, rule)
                cases[variant] = {"rule": rule, "engines": engines}
            versions = {peer: version(peer) for peer in ("vectorbt", "backtesting")}
            facts = {
                "bars": name,
                "last": count,
                "cash": CASH,
                "strategy": strategy,
                "versions": versions,
                "cases": cases,
            }
            (TARGET / f"{name}_{strategy}.json").write_text(json.dumps(facts, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
