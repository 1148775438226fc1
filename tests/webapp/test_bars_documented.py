"""The page about bars: its commands run, and its figures are those of the code."""

import re
import shlex
from pathlib import Path

from storage_core import bar_quality, bar_upload_files, bar_upload_limits
from storage_core.bar_store import TIMEFRAMES
from storage_core.fetch_request import EXCHANGES
from tests.webapp.test_data import csv
from workers.exchanges import binance, upbit

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


def test_every_command_on_the_page_works(console, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corrected").mkdir()
    (tmp_path / "KRW-XRP_1h.csv").write_bytes(csv())
    (tmp_path / "corrected" / "KRW-XRP_1h.csv").write_bytes(csv(close=101.5))
    days = "date,open,high,low,last_price,volume\n2024-01-01,1,2,0.5,1.5,7\n2024-01-02,1,2,0.5,1.5,7\n"
    (tmp_path / "prices.csv").write_text(days)
    lines = [line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S) for line in block.splitlines()]
    assert len(lines) >= 9
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "flask"
        result = console.test_cli_runner().invoke(args=arguments)
        assert result.exit_code == 0, (line, result.output, result.exception)


def test_every_command_that_needs_the_network_is_understood(console):
    for line in re.findall(r"^flask (bars fetch .*)$", PAGE, re.M):
        result = console.test_cli_runner().invoke(args=[*shlex.split(line), "--help"])
        assert result.exit_code == 0, line


def test_figures_are_those_of_the_code():
    plain = re.sub(r"\s+", " ", PAGE)
    assert f"Timeframes are `{' '.join(TIMEFRAMES)}`" in plain
    assert f"up to {bar_upload_files.LARGEST // 10**6} MB and {bar_upload_limits.MOST_ROWS:,} rows" in plain
    for name, module in (("upbit", upbit), ("binance", binance)):
        assert name in EXCHANGES
        assert re.search(rf"\| `{name}` .*\| {module.PER_PAGE:,} \| {module.PER_SECOND:g} requests a second", PAGE)
    good, fair = (f"{100 * share:g}% missing" for share in (bar_quality.GOOD_MISSING, bar_quality.FAIR_MISSING))
    assert good in plain
    assert fair in plain
