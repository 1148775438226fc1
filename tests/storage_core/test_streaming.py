"""Large results: memory stays bounded by the size of the tables, whatever the form they are stored in."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from storage_core import result_files
from storage_core.json_results import ROWS_AT_ONCE
from storage_core.modes import DUAL_WRITE, JSON_ONLY, PARQUET_ONLY
from storage_core.parquet import ROWS_PER_GROUP
from tests.storage_core.examples import same_bits
from tests.storage_core.large import SPEC, a_large_result

ROOT = Path(__file__).parents[2]
MEGABYTE = 2**20
SLACK = 24 * MEGABYTE
"""What the allocators keep, whatever the size of the tables."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory a step took")


def figures(mode: str, signals: int, bars: int, compression: str = "zstd") -> dict[str, Any]:
    asked = [sys.executable, "-m", "tests.storage_core.large", mode, compression, str(signals), str(bars)]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("mode", "signals", "bars"),
    [
        (PARQUET_ONLY, 1_000_000, 1_000_000),
        (PARQUET_ONLY, 1_000, 1_000_000),
        (DUAL_WRITE, 1_000_000, 1_000),
        (JSON_ONLY, 1_000, 1_000_000),
    ],
)
def test_memory_of_a_large_result(mode: str, signals: int, bars: int) -> None:
    """Saving takes less than the tables a second time; reading takes the table, and less than twice that beside it."""
    found = figures(mode, signals, bars)
    share = 0.2 if mode == JSON_ONLY else 0.8
    assert found["save"] < share * found["tables"] + SLACK, found
    for read in found["read"].values():
        assert read["memory"] < 2.5 * read["table"] + SLACK, found
    assert found["tables"] > 50 * MEGABYTE, "a small table would prove nothing"


def test_memory_of_a_save_does_not_grow_with_json() -> None:
    few, many = (figures(JSON_ONLY, 10, bars)["save"] for bars in (20 * ROWS_AT_ONCE, 60 * ROWS_AT_ONCE))
    assert many < few + SLACK


def test_large_tables_are_written_in_row_groups(tmp_path: Path) -> None:
    made = a_large_result(10, ROWS_PER_GROUP + 5).performance_curve
    constants = {"initial_cash": SPEC["initial_cash"]}
    facts = result_files.write_table(tmp_path, "performance_curve", made, constants=constants)
    path = tmp_path / "performance_curve.parquet"
    metadata = pq.read_metadata(path)
    assert (metadata.num_row_groups, metadata.row_group(1).num_rows) == (2, 5)
    assert set(facts["left_out"]) == {"idx", "drawdown", "cumulative_pnl", "cumulative_pnl_pct"}
    assert same_bits(result_files.read(path).combine_chunks(), made.combine_chunks())
