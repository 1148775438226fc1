"""Specs: what is read, what is refused, and how the refusal reads."""

import json
import pickle
import subprocess
import sys
from datetime import date

import pytest

from engine.catalog import STRATEGIES, StrategySpec, extended_catalog, get_strategy, load_signals
from engine.errors import EngineError, SpecError, SpecErrors
from engine.kernels import records
from engine.params import ParamSpec, check_param
from engine.signals import Wish
from engine.spec import SPEC_FIELDS, TIMEFRAMES, parse_spec, spec_to_dict

GOOD = {
    "strategy": "sma_cross",
    "symbols": ["KRW-BTC", "USD-ETH"],
    "timeframe": "1h",
    "start_date": "2024-01-01",
    "end_date": "2024-01-02",
}


def problems(**changes):
    with pytest.raises(SpecErrors) as caught:
        parse_spec({**GOOD, **changes})
    return {error.field: str(error) for error in caught.value.errors}


def test_defaults_are_filled_in_and_the_dict_reads_back():
    spec = parse_spec(GOOD)
    plain = spec_to_dict(spec)
    assert plain["params"] == {"fast": 10, "slow": 30}
    assert plain["costs"] == {"fee_rate": 0.001, "slippage_rate": 0.0002}
    assert plain["exits"]["stops_from"] == "entry_bar"
    assert (plain["fill"], plain["direction"], plain["initial_cash"]) == ("next_open", "long", 10_000.0)
    assert plain["symbols"] == ["KRW-BTC", "USD-ETH"]
    assert plain["start_date"] == "2024-01-01"
    assert parse_spec(json.loads(json.dumps(plain))) == spec
    assert spec.start_date == date(2024, 1, 1)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_s_defaults_are_allowed(name):
    spec = parse_spec({**GOOD, "strategy": name})
    assert spec.params == {param.name: param.default for param in get_strategy(name).params}
    assert callable(load_signals(get_strategy(name)))


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("strategy", {"strategy": "sma_cros"}),
        ("strategy", {"strategy": 3}),
        ("params.fast", {"params": {"fast": 0}}),
        ("params.fast", {"params": {"fast": 1.5}}),
        ("params.fast", {"params": {"fast": "10"}}),
        ("params.fast", {"params": {"fast": True}}),
        ("params.fast", {"params": {"fast": None}}),
        ("params.fast", {"params": {"fast": 30}}),
        ("params.quick", {"params": {"quick": 3}}),
        ("params", {"params": [1]}),
        ("symbols", {"symbols": []}),
        ("symbols", {"symbols": "KRW-BTC"}),
        ("symbols", {"symbols": ["krw-btc"]}),
        ("symbols", {"symbols": ["../etc-X"]}),
        ("symbols", {"symbols": ["A-B\n"]}),
        ("symbols", {"symbols": ["KRW-BTC", "KRW-BTC"]}),
        ("symbols", {"symbols": [f"KRW-A{number}" for number in range(201)]}),
        ("timeframe", {"timeframe": "2h"}),
        ("start_date", {"start_date": "2024-01-03"}),
        ("start_date", {"start_date": "yesterday"}),
        ("end_date", {"end_date": None}),
        ("timezone", {"timezone": "Mars/Base"}),
        ("timezone", {"timezone": "../../etc/passwd"}),
        ("candle_size", {"candle_size": 0}),
        ("initial_cash", {"initial_cash": 0}),
        ("initial_cash", {"initial_cash": float("nan")}),
        ("initial_cash", {"initial_cash": float("inf")}),
        ("costs.fee_rate", {"costs": {"fee_rate": 0.11}}),
        ("costs.fee_rate", {"costs": {"fee_rate": -0.001}}),
        ("costs.fee", {"costs": {"fee": 0.1}}),
        ("costs", {"costs": 3}),
        ("sizing.kind", {"sizing": {"kind": "double"}}),
        ("sizing.value", {"sizing": {"kind": "fraction", "value": 1.1}}),
        ("sizing.value", {"sizing": {"kind": "fraction"}}),
        ("sizing.value", {"sizing": {"kind": "all_in", "value": 0.5}}),
        ("sizing.quantity_step", {"sizing": {"quantity_step": 0}}),
        ("exits.stop_loss", {"exits": {"stop_loss": 0}}),
        ("exits.stop_loss", {"exits": {"stop_loss": 1.01}}),
        ("exits.hold_bars", {"exits": {"hold_bars": 0}}),
        ("exits.stops_from", {"exits": {"stops_from": "now"}}),
        ("fill", {"fill": "next_close"}),
        ("direction", {"direction": "up"}),
        ("annual_days", {"annual_days": 400}),
        ("leverage", {"leverage": 2}),
    ],
)
def test_what_is_wrong_is_named(field, changes):
    assert list(problems(**changes)) == [field]


def test_all_problems_come_at_once():
    found = problems(strategy="sma_cross", params={"fast": 0}, timeframe="2h", costs={"fee_rate": 1}, fill="never")
    assert list(found) == ["params.fast", "timeframe", "fill", "costs.fee_rate"]
    with pytest.raises(SpecErrors) as caught:
        parse_spec({})
    assert [error.field for error in caught.value.errors] == [
        "timeframe",
        "strategy",
        "symbols",
        "start_date",
        "end_date",
    ]


def test_sentences_say_what_it_was_and_what_is_allowed():
    assert problems(strategy="sma_cros")["strategy"] == "unknown strategy 'sma_cros'; did you mean 'sma_cross'?"
    assert problems(params={"fsat": 3})["params.fsat"] == "unknown field 'params.fsat'; did you mean 'fast'?"
    assert problems(costs={"fee_rate": 0.2})["costs.fee_rate"] == (
        "costs.fee_rate was 0.2; allowed: a number from 0 to 0.1"
    )
    assert problems(params={"fast": 40})["params.fast"] == "fast (40) must be less than slow (30)"
    assert "and up to 1" in problems(exits={"stop_loss": 5})["exits.stop_loss"]
    with pytest.raises(SpecErrors, match=r"fill was 'x'.*; exits.hold_bars was 'y'"):
        parse_spec({**GOOD, "fill": "x", "exits": {"hold_bars": "y"}})


def test_numbers_take_the_type_of_their_param():
    spec = parse_spec({**GOOD, "params": {"fast": 5.0}, "initial_cash": 5})
    assert type(spec.params["fast"]) is int
    assert type(spec.initial_cash) is float


def test_exclusive_minimum():
    param = ParamSpec(name="x", type="float", default=1.0, minimum=0, exclusive_minimum=True, label="x", help="x")
    assert check_param(param, 0.1, "x") == 0.1
    with pytest.raises(SpecError, match="above 0"):
        check_param(param, 0, "x")


def test_errors_survive_pickling_and_are_permanent():
    error = SpecErrors([SpecError("fill", "x", "y")])
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert str(again) == str(error)
    assert isinstance(again, EngineError)
    assert again.permanent


def test_every_field_of_the_form_is_described():
    plain = spec_to_dict(parse_spec(GOOD))
    paths = set(plain) - {
        "costs",
        "sizing",
        "exits",
        "strategy",
        "params",
        "symbols",
        "start_date",
        "end_date",
        "timezone",
    }
    paths |= {f"{group}.{name}" for group in ("costs", "sizing", "exits") for name in plain[group]}
    assert set(SPEC_FIELDS) == paths
    for path, param in SPEC_FIELDS.items():
        assert path.endswith(param.name)
        assert param.label
        assert param.help
        group, _, name = path.rpartition(".")
        assert param.default == (plain[group][name] if group else plain[name])
    assert SPEC_FIELDS["timeframe"].choices == tuple(TIMEFRAMES)


def test_a_catalogue_can_be_extended_and_the_first_stays_as_it_is():
    mine = StrategySpec(
        name="mine", label="Mine", help="Mine.", params=(), signals="tests.engine.planted:tomorrow", warmup=lambda _: 0
    )
    catalog = extended_catalog([mine])
    assert parse_spec({**GOOD, "strategy": "mine"}, catalog).strategy == "mine"
    assert "mine" not in STRATEGIES
    with pytest.raises(TypeError):
        catalog["other"] = mine
    with pytest.raises(SpecError, match="a name that no other strategy has"):
        extended_catalog([mine, mine])


def test_wishes_have_the_kernels_numbers():
    assert (Wish.ENTER, Wish.EXIT, Wish.ENTER_SHORT, Wish.EXIT_SHORT) == (
        records.ENTER, records.EXIT, records.ENTER_SHORT, records.EXIT_SHORT
    )  # fmt: skip


def test_forms_can_be_drawn_without_numba_or_pandas():
    code = (
        "import sys, engine.catalog, engine.spec, engine.metrics, engine.errors;"
        "engine.spec.parse_spec({'strategy': 'sma_cross', 'symbols': ['A-B'], 'timeframe': '1h',"
        " 'start_date': '2024-01-01', 'end_date': '2024-01-02'});"
        "sys.exit(bool({'numba', 'pandas', 'pyarrow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
