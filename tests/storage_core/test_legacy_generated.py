"""Legacy results that nobody wrote down: every one that is accepted comes back exactly, value, type and key."""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage_core import legacy_document, legacy_read, legacy_row
from storage_core.legacy_document import exactly
from storage_core.legacy_errors import BadLegacyFile
from storage_core.legacy_values import symbol
from storage_core.result_files import read, write_table
from storage_core.schemas import SCHEMAS

NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300),
    st.integers(-(2**53), 2**53),
    st.sampled_from([0, 0.0, -0.0, 5e-324, 0.1, 1 / 6, 0.29, 0.57, 1.1, 100, 2**53]),
)
MAYBE = st.none() | NUMBERS
COUNTS = st.none() | st.integers(0, 2**31 - 1)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=4), below, max_size=3),
    max_leaves=6,
)
MOMENTS = st.datetimes().map(lambda moment: moment.isoformat())
ZONES = st.sampled_from(["", "Z", "+00:00", "+00:00Z"])
TIMES = st.one_of(
    st.builds(str.__add__, MOMENTS, ZONES),
    st.dates().map(str),
    st.sampled_from(["2024-09-06T12:00:00+09:00", "2024-09-06 12:00:00", "2024-09-06T12:00:00.1Z"]),
)
SYMBOLS = {
    "KRW-BTC": ["KRW-BTC", "BTC_KRW", "krw-btc"],
    "USDT-BTC": ["BTC/USDT", "USDT-BTC"],
    "KRW-1INCH": ["1INCH_KRW"],
}


def objects(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with these keys, in any order, some of the optional ones missing, perhaps with keys of their own."""
    extra = st.dictionaries(st.sampled_from(["note", "tag", "x"]), ANYTHING, max_size=2)
    fixed = st.fixed_dictionaries(required, optional=optional)
    both = st.tuples(fixed, extra).map(lambda parts: {**parts[1], **parts[0]})
    return st.tuples(both, st.randoms()).map(lambda pair: _shuffled(*pair))


def _shuffled(document: dict[str, Any], order: Any) -> dict[str, Any]:
    keys = list(document)
    order.shuffle(keys)
    return {key: document[key] for key in keys}


@st.composite
def entries(draw: st.DrawFn, stored: str, full: bool) -> dict[str, Any]:
    spelled = st.sampled_from(SYMBOLS[stored])
    money = {
        "quantity": MAYBE,
        "hold_bars": COUNTS,
        "fee_amount": MAYBE,
        "slippage_amount": MAYBE,
        "signal_index": COUNTS,
    }
    share = st.none() | st.floats(-1e300, 1e300)
    signal = objects(
        {"timestamp": TIMES, "type": st.sampled_from(["buy", "sell"]), "entry_price": NUMBERS},
        {"symbol": spelled, "exit_price": MAYBE, "return_pct": MAYBE if full else share, **(money if full else {})},
    )
    point = objects(
        {"timestamp": TIMES, "equity": NUMBERS},
        {"drawdown": MAYBE, "symbol": spelled, **({"idx": COUNTS, "cumulative_pnl": MAYBE} if full else {})},
    )
    summary = {"win_rate": MAYBE if full else share, "avg_return": MAYBE, "max_drawdown": MAYBE, "avg_hold_bars": MAYBE}
    counts = {"winning_signals": COUNTS, "total_pnl": MAYBE} if full else {"is_active": st.booleans()}
    required = {"symbol": spelled, "signals": st.none() | st.lists(signal, max_size=6)}
    if full:
        required["total_signals"] = COUNTS
    curve = {"performance_curve": st.none() | st.lists(point, max_size=6)}
    return draw(objects(required, {**summary, **counts, **curve}))


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A result of either shape, with one to three symbols in any order."""
    stored = draw(st.permutations(list(SYMBOLS)))[: draw(st.integers(0, 3))]
    full = draw(st.booleans())
    top = draw(objects({"run_id": st.uuids().map(str)}, {"version": st.text(max_size=5), "metadata": st.just({})}))
    return {**top, "symbols": [draw(entries(symbol, full)) for symbol in stored]}


@given(document=documents())
@settings(max_examples=60, deadline=None)
def test_every_document_comes_back_exactly(document: dict[str, Any]) -> None:
    parsed = legacy_read.parse(json.dumps(document).encode())
    converted = legacy_document.to_tables(parsed)
    again = legacy_document.to_document(converted.frame, converted.tables.by_name())
    assert exactly(again) == exactly(document)
    legacy_row.metrics(converted)
    legacy_row.sparkline(converted)


@given(document=documents())
@settings(max_examples=25, deadline=None)
def test_every_document_comes_back_exactly_from_the_files(document: dict[str, Any], tmp_path_factory: Any) -> None:
    converted = legacy_document.to_tables(document)
    folder: Path = tmp_path_factory.mktemp("result")
    for _ in range(2):
        for name, table in converted.tables.by_name().items():
            write_table(folder, name, table, constants={})
        tables = {name: read(folder / f"{name}.parquet") for name in SCHEMAS}
        assert exactly(legacy_document.to_document(converted.frame, tables)) == exactly(document)


@settings(deadline=None)
@given(text=st.text(max_size=40) | st.from_regex(r"[A-Za-z0-9]{1,16}[-_/][A-Za-z0-9]{1,16}", fullmatch=True))
def test_a_symbol_never_leaves_its_alphabet(text: str) -> None:
    with suppress(BadLegacyFile):
        assert re.fullmatch(r"[A-Z0-9]{1,15}-[A-Z0-9]{1,15}", symbol(text, "symbol"), re.ASCII)


@given(data=st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_parsed_or_named(data: bytes) -> None:
    with suppress(BadLegacyFile):
        assert isinstance(legacy_read.parse(data), dict)


@pytest.mark.parametrize(
    "text", ["../x", f"{UUID(int=7)}/..", f"{{{UUID(int=7)}}}", UUID(int=7).hex, f"{UUID(int=7)}\n"]
)
def test_an_id_is_never_part_of_a_path_unless_it_is_one(text: str) -> None:
    with pytest.raises(BadLegacyFile, match="run_id is"):
        legacy_row.run_id(text, "run_id", UUID(int=7), "folder")
