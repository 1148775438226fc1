"""`flask check-strategy`: a planted look into the future is caught."""

import pytest

from storage_core.bar_store import BarStore
from tests.workers.examples import wave
from workers.check_strategy import main

PEEKS = """
import numpy as np
from engine.signals import long_only
def signals(bars, params):
    tomorrow = np.append(bars.close[1:], bars.close[-1])
    return long_only(tomorrow > bars.close, tomorrow < bars.close)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    strategies = tmp_path / "strategies"
    strategies.mkdir()
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("STRATEGIES_DIR", str(strategies))
    BarStore(tmp_path / "data" / "bars").merge("USD-BTC", "1h", wave(2000))
    return strategies


def test_a_strategy_that_peeks_is_named_with_the_bar(folder, capsys):
    (folder / "peeks.py").write_text(PEEKS)
    assert main(["peeks"]) == 1
    assert "FAIL  USD-BTC 1h, 2,000 bars" in capsys.readouterr().out


def test_a_shipped_strategy_passes(folder, capsys):
    assert main(["sma_cross"]) == 0
    assert "ok    USD-BTC 1h, 2,000 bars" in capsys.readouterr().out


def test_what_cannot_be_checked_says_why(folder, capsys, monkeypatch, tmp_path):
    (folder / "broken.py").write_text("oops(")
    assert main(["broken"]) == 1
    assert "SyntaxError" in capsys.readouterr().out
    assert main(["sma_crosss"]) == 1
    assert "did you mean 'sma_cross'" in capsys.readouterr().out
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "empty"))
    assert main(["sma_cross"]) == 2
    assert "no bars" in capsys.readouterr().out
