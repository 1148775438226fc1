"""docs/results.md names tabs, formats and keys that exist, and all of them."""

import re
from pathlib import Path
from typing import get_args

from webapp.api.requests import ExportQuery
from webapp.chart_cache import LIMIT
from webapp.context.report import MOST_TRADES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


def test_every_export_format_is_explained():
    table = TEXT.partition("## Exports")[2]
    named = {name for cell in re.findall(r"^\| (`.+?`) \|", table, re.M) for name in re.findall(r"`([^`]+)`", cell)}
    assert named == set(get_args(ExportQuery.model_fields["format"].annotation))


def test_every_tab_exists(app):
    adapter = app.url_map.bind("localhost")
    addresses = re.findall(r"`/backtests/<task_id>([\w/.]*)`", TEXT)
    assert len(addresses) == 7
    for address in addresses:
        adapter.match(f"/backtests/00000000-0000-0000-0000-000000000000{address}")


def test_limits_are_those_of_the_code():
    assert f"the last {MOST_TRADES} trades" in TEXT
    assert LIMIT == 1_000_000_000
    assert "at most 1 GB" in TEXT
