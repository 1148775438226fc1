"""The pages about metrics and strategies are the code's own tables; `python -m tests.engine.test_docs` writes them."""

import inspect
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from engine.catalog import STRATEGIES, StrategySpec
from engine.metrics import METRICS
from engine.params import ParamSpec
from engine.signals import Signals
from tests.engine.made import random_bars

DOCS = Path(__file__).parents[2] / "docs"
MARK = re.compile(r"(<!-- generated -->\n).*?(<!-- end -->)", re.DOTALL)
BETTER = {"higher": "higher", "lower": "lower", None: ""}


def metrics_table() -> str:
    rows = ["| metric | stored as | unit | better | definition |", "|---|---|---|---|---|"]
    for metric in METRICS.values():
        cells = (metric.label, f"`{metric.stored_name}`", metric.unit, BETTER[metric.better], metric.help)
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows)


def shown_range(param: ParamSpec) -> str:
    return param.allowed.removeprefix("a whole number ").removeprefix("a number ")


def strategy_section(strategy: StrategySpec) -> str:
    module, _, function = strategy.signals.partition(":")
    rule = inspect.getdoc(getattr(import_module(module), function))
    lines = [f"### `{strategy.name}`: {strategy.label}", "", strategy.help, "", rule, ""]
    if strategy.params:
        lines += ["| param | default | range | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{param.name}` | {str(param.default).lower()} | {shown_range(param)} | {param.label}. {param.help} |"
            for param in strategy.params
        ]
    return "\n".join(lines).rstrip()


PAGES = {
    "metrics.md": metrics_table,
    "strategies.md": lambda: "\n\n".join(strategy_section(strategy) for strategy in STRATEGIES.values()),
}


def generated(page: str) -> str:
    return MARK.sub(lambda match: f"{match[1]}\n{PAGES[page]()}\n\n{match[2]}", (DOCS / page).read_text())


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_what_the_code_says(page):
    text = (DOCS / page).read_text()
    assert MARK.search(text)
    assert text == generated(page), "write it anew: python -m tests.engine.test_docs"


def test_the_example_strategy_works():
    code = re.search(r"```python\n(\"\"\".*?)```", (DOCS / "strategies.md").read_text(), re.DOTALL)[1]
    assert len(code.strip().splitlines()) <= 20, "all of it is read at a glance"
    module: dict = {}
    exec(compile(code, "three_up.py", "exec"), module)  # noqa: S102
    bars = random_bars(np.random.default_rng(1), 400)
    params = {param.name: param.default for param in module["PARAMS"]}
    signals = module["signals"](bars, params)
    assert isinstance(signals, Signals)
    assert signals.enter.any()
    rising = [i >= 3 and (np.diff(bars.close[i - 3 : i + 1]) > 0).all() for i in range(400)]
    assert signals.enter.tolist() == rising


if __name__ == "__main__":
    for name in PAGES:
        (DOCS / name).write_text(generated(name))
