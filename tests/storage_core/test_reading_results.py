"""docs/reading-results.md: its formulas are the code's, and every block of it runs in the folder of a real result.

`python -m tests.storage_core.test_reading_results` writes the generated part.
"""

import contextlib
import json
import re
import uuid
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy import Engine

from engine.simulation import simulate
from engine.spec import parse_spec, spec_to_dict
from storage_core import backtests, result_store
from storage_core.db import session_scope
from storage_core.formulas import FORMULA_VERSION, FORMULAS
from storage_core.settings import Settings
from tests.engine.made import random_bars
from tests.storage_core.examples import METADATA, METRICS, claimed, row, same_bits
from workers.result_tables import make_tables

PAGE = Path(__file__).parents[2] / "docs" / "reading-results.md"
GENERATED = re.compile(r"(<!-- generated -->\n).*?(<!-- end -->)", re.DOTALL)
BLOCK = re.compile(r"(?:<!-- gives (?P<gives>[^>]*) -->\n)?```(?P<kind>sql|python)\n(?P<code>.*?)```", re.DOTALL)
BLOCKS = list(BLOCK.finditer(PAGE.read_text("utf-8")))
HOUR = 3_600_000_000
CLOSE = {"rtol": 1e-9, "atol": 1e-9}


def formulas_table() -> str:
    lines = ["| table | column | formula | constants |", "|---|---|---|---|"]
    for table, formulas in FORMULAS.items():
        for column, formula in formulas.items():
            words = formula.text.replace("|", "\\|")
            constants = ", ".join(f"`{name}`" for name in formula.constants)
            lines.append(f"| `{table}` | `{column}` | {words} | {constants} |".replace("|  |", "| |"))
    return "\n".join(lines)


def generated(text: str) -> str:
    return GENERATED.sub(lambda match: f"{match[1]}\n{formulas_table()}\n\n{match[2]}", text)


def test_the_formulas_are_those_of_the_code() -> None:
    text = PAGE.read_text("utf-8")
    assert generated(text) == text, "run python -m tests.storage_core.test_reading_results"
    assert f"\nVersion {FORMULA_VERSION}. " in text


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One database is enough to read files."""
    return sqlite_url


@pytest.fixture
def stored(engine: Engine, settings: Settings) -> uuid.UUID:
    """A result of the real engine: two symbols, all cash in each trade, fees and slippage, a trade open at the end."""
    spec = parse_spec(
        {
            "strategy": "sma_cross",
            "params": {"fast": 5, "slow": 20},
            "symbols": ["KRW-BTC", "KRW-ETH"],
            "timeframe": "1h",
            "start_date": "2020-01-01",
            "end_date": "2029-12-31",
            "direction": "both",
        }
    )
    with session_scope(engine) as session:
        task_id = backtests.create(session, spec=spec_to_dict(spec), owner_id=None, source="web").task_id
    random = np.random.default_rng(5)
    made = {symbol: simulate(random_bars(random, 600, step=HOUR, spread=0.01), spec) for symbol in spec.symbols}
    claim = claimed(engine, task_id)
    result_store.save(engine, settings, claim, make_tables(made), metrics=METRICS, metadata=METADATA)
    return task_id


@pytest.fixture
def folder(engine: Engine, settings: Settings, stored: uuid.UUID, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of that result, where the blocks run."""
    place = settings.results_dir / str(row(engine, stored).parquet_path)
    monkeypatch.chdir(place)
    return place


def run(block: re.Match[str]) -> dict[str, pa.Table]:
    """What the block gives, by table."""
    names = [name for name in (block["gives"] or "").split() if name in FORMULAS]
    if block["kind"] == "sql":
        with contextlib.closing(duckdb.connect()) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            found = connection.sql(block["code"]).to_arrow_table()
        assert found.num_rows
        return dict.fromkeys(names, found)
    values: dict[str, Any] = {}
    exec(compile(block["code"], str(PAGE), "exec"), values)  # noqa: S102
    frames = {"performance_curve": values.get("curve"), "symbol_signals": values.get("signals")}
    return {name: as_arrow(frames[name]) for name in names}


def as_arrow(frame: Any) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False) if isinstance(frame, pd.DataFrame) else frame.to_arrow()


def test_there_are_blocks_of_all_kinds() -> None:
    text = PAGE.read_text("utf-8")
    assert len(BLOCKS) + text.count("```sh\n") == text.count("```") / 2 >= 8
    for words in ("import polars", "import pandas", "parquet_kv_metadata"):
        assert any(words in block["code"] for block in BLOCKS)
    assert sum(bool(block["gives"]) for block in BLOCKS) == text.count("<!-- gives") == 4


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_block_runs_and_gives_what_it_says(
    engine: Engine, settings: Settings, stored: uuid.UUID, folder: Path, block: re.Match[str]
) -> None:
    gives = run(block)
    asked = (block["gives"] or "").split()
    assert set(gives) == {name for name in asked if name in FORMULAS}
    for name, found in gives.items():
        table = result_store.read_table(settings, row(engine, stored), name)
        if "closed" in asked:
            table = table.filter(pa.compute.equal(table["status"], "closed"))
        assert found.num_rows == table.num_rows
        columns = [column for column in table.column_names if column in found.column_names]
        assert set(columns) >= (set(table.column_names) if "exactly" in asked else {"symbol", "timestamp"})
        for column in columns:
            assert_same(found[column], table[column], exactly="exactly" in asked)


def assert_same(found: pa.ChunkedArray, stored: pa.ChunkedArray, *, exactly: bool) -> None:
    if not pa.types.is_floating(stored.type):
        assert found.cast(stored.type).to_pylist() == stored.to_pylist()
    elif exactly:
        values = pa.table({"x": pa.array(found.to_numpy(), from_pandas=True)})
        assert same_bits(values, pa.table({"x": stored.combine_chunks()}))
    else:
        np.testing.assert_allclose(found.to_numpy(), stored.to_numpy(), **CLOSE)


def test_the_example_leaves_out_what_the_page_computes(folder: Path) -> None:
    files = json.loads((folder / "metadata.json").read_bytes())["files"]
    for name in ("symbol_signals", "performance_curve"):
        assert set(files[name]["left_out"]) >= set(FORMULAS[name]) - {"slippage_amount"}


if __name__ == "__main__":
    PAGE.write_text(generated(PAGE.read_text("utf-8")), "utf-8")
