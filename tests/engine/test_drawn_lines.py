"""Lines that a person's own strategy draws: what is taken, what is refused and how it is said, and the future."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from engine.catalog import StrategySpec
from engine.drawn_lines import LONGEST_LABEL, MOST_LINES, check_drawn, draw_lines
from engine.errors import LinesError
from engine.lines import DrawnLine
from tests.engine.made import flat_bars, random_bars

CLOSES = [2.0, 4.0, 8.0, 6.0]
BARS = flat_bars(CLOSES)
LONG = random_bars(np.random.default_rng(5), 120_000, spread=0.001)


@pytest.fixture
def strategy(monkeypatch):
    """A strategy whose `lines` is what the test says."""

    def of(lines) -> StrategySpec:
        monkeypatch.setitem(sys.modules, "coin_hts_strategy_test", SimpleNamespace(lines=lines))
        path = "coin_hts_strategy_test:lines"
        return StrategySpec(
            name="mine", label="Mine", help="", params=(), signals="none:none", warmup=lambda _: 0, drawn=path
        )

    return of


def problem(strategy, lines, bars=BARS) -> str:
    with pytest.raises(LinesError) as found:
        draw_lines(strategy(lines), bars, {})
    return str(found.value)


def mean_of_two(bars, params):
    return (bars.close + np.roll(bars.close, 1)) / 2


def test_lines_are_taken_as_they_are(strategy):
    def lines(bars, params):
        mean = mean_of_two(bars, params)
        mean[0] = np.nan
        with np.errstate(divide="ignore"):
            ratio = bars.close / np.array([1.0, 0.0, 2.0, 3.0])
        return [DrawnLine("Mean 2", mean), DrawnLine("Ratio", ratio, "below", faint=True)]

    mean, ratio = draw_lines(strategy(lines), BARS, {"n": 2})
    assert (mean.label, mean.pane, mean.faint) == ("Mean 2", "price", False)
    assert mean.values.tolist()[1:] == [3.0, 6.0, 7.0]
    assert np.isnan(mean.values[0])
    assert (ratio.label, ratio.pane, ratio.faint) == ("Ratio", "below", True)
    assert ratio.values[[0, 2, 3]].tolist() == [2.0, 4.0, 2.0]
    assert np.isnan(ratio.values[1]), "infinite is undefined"


def test_none_at_all_are_no_problem(strategy):
    assert draw_lines(strategy(lambda bars, params: []), BARS, {}) == ()
    none = StrategySpec(name="mine", label="", help="", params=(), signals="none:none", warmup=lambda _: 0)
    assert draw_lines(none, BARS, {}) == ()


def test_params_and_bars_cannot_be_changed(strategy):
    def lines(bars, params):
        params["n"] = 9
        return []

    params = {"n": 2}
    draw_lines(strategy(lines), BARS, params)
    assert params == {"n": 2}


def one(label="Mean", values=None, pane="price", faint=False):
    return lambda bars, params: [DrawnLine(label, bars.close if values is None else values, pane, faint)]


def raises(error):
    def lines(bars, params):
        raise error

    return lines


FLOATS = "allowed: a float64 array of 4 values, one a bar, nan where there is none"
LABEL = f"allowed: 1 to {LONGEST_LABEL} printable characters"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (raises(ZeroDivisionError("division by zero")), "lines failed: ZeroDivisionError: division by zero"),
        (raises(SystemExit(3)), "lines failed: SystemExit: 3"),
        (lambda bars: [], "lines failed: TypeError"),
        (["not a function"], "lines failed: TypeError: 'list' object is not callable"),
        (lambda bars, params: {"Mean": bars.close}, "lines returned dict; allowed: a list of DrawnLines"),
        (lambda bars, params: None, "lines returned NoneType; allowed: a list of DrawnLines"),
        (lambda bars, params: [bars.close], "line 1 was ndarray; allowed: DrawnLine(label, values)"),
        (
            lambda bars, params: [DrawnLine(f"{n}", bars.close) for n in range(MOST_LINES + 1)],
            f"lines returned {MOST_LINES + 1} lines; allowed: at most {MOST_LINES}",
        ),
        (
            lambda bars, params: [DrawnLine("Mean", bars.close), DrawnLine("Mean", bars.open)],
            "two lines are called 'Mean'; allowed: a label that no other line has",
        ),
        (one(values=np.ones(3)), f"the values of 'Mean' were float64 of shape (3,); {FLOATS}"),
        (one(values=np.ones((4, 1))), f"the values of 'Mean' were float64 of shape (4, 1); {FLOATS}"),
        (one(values=np.ones(4, dtype=np.int64)), f"the values of 'Mean' were int64 of shape (4,); {FLOATS}"),
        (one(values=np.ones(4, dtype=object)), f"the values of 'Mean' were object of shape (4,); {FLOATS}"),
        (one(values=[1.0, 2.0, 3.0, 4.0]), f"the values of 'Mean' were list; {FLOATS}"),
        (one(pane="above"), "the pane of 'Mean' was 'above'; allowed: price, volume, below"),
        (one(faint="yes"), "faint of 'Mean' was 'yes'; allowed: True or False"),
        (one(label="symbol"), "the label of line 1 was 'symbol'; allowed: any but symbol and timestamp"),
    ],
)
def test_what_is_wrong_is_said_with_what_is_allowed(strategy, lines, says):
    assert says in problem(strategy, lines)


@pytest.mark.parametrize(
    "label",
    ["", " ", "Mean ", "a" * 41, "a\nb", "a\tb", "a\x00b", "\u202eright to left", "\ud800", "a\u200bb", 7, None],
)
def test_labels_that_are_no_labels(strategy, label):
    said = problem(strategy, one(label=label))
    assert f"the label of line 1 was {label!r:.60}; {LABEL}" == said
    assert said.isprintable()


@pytest.mark.parametrize(
    "label",
    ["<script>alert(1)</script>", "constructor", "__proto__", "이동평균 20", "%(n)s", "=1+1", "a" * 40, "{x}", "🙂"],
)
def test_strange_labels_are_labels(strategy, label):
    [line] = draw_lines(strategy(one(label=label)), BARS, {})
    assert line.label == label


def checked(strategy, lines, bars):
    made = strategy(lines)
    check_drawn(made, bars, {}, draw_lines(made, bars, {}))


def running_mean(bars, params):
    total = np.cumsum(bars.close)
    mean = (total - np.concatenate([np.zeros(20), total[:-20]])[: len(bars)]) / 20
    return [DrawnLine("Mean 20", np.where(np.arange(len(bars)) < 19, np.nan, mean))]


@pytest.mark.parametrize("length", [1, 2, 500, 120_000])
def test_lines_that_know_only_the_past_pass(strategy, length):
    checked(strategy, running_mean, LONG.slice(0, length))


def tomorrow(bars, params):
    return [DrawnLine("Past", bars.open), DrawnLine("Tomorrow", np.append(bars.close[1:], bars.close[-1]))]


def share_of_the_highest(bars, params):
    return [DrawnLine("Share", bars.close / bars.close.max())]


def late(bars, params):
    """Knows the next bar only far into a long run."""
    ahead = np.append(bars.close[1:], bars.close[-1])
    return [DrawnLine("Late", np.where(bars.timestamp > LONG.timestamp[60_000], ahead, bars.close))]


@pytest.mark.parametrize(
    ("lines", "length"), [(tomorrow, 60), (tomorrow, 120_000), (share_of_the_highest, 120_000), (late, 120_000)]
)
def test_lines_that_know_the_future_are_named_with_the_bar(strategy, lines, length):
    with pytest.raises(
        LinesError, match=r"the line '(Tomorrow|Share|Late)' changes at bar \d+ when later bars are cut"
    ):
        checked(strategy, lines, LONG.slice(0, length))


def test_lines_that_fail_without_the_later_bars_are_a_problem(strategy):
    def lines(bars, params):
        return [DrawnLine("Hundredth", np.full(len(bars), bars.close[100]))]

    with pytest.raises(LinesError, match="lines failed: IndexError"):
        checked(strategy, lines, LONG.slice(0, 500))


def test_labels_depend_on_the_params_only(strategy):
    with pytest.raises(LinesError, match="the labels change"):
        checked(strategy, lambda bars, params: [DrawnLine(f"{len(bars)} bars", bars.close)], LONG.slice(0, 500))
