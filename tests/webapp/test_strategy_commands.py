"""`flask new-strategy`, `flask check-strategy`."""

import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from webapp.commands.strategies import EXAMPLE
from workers.custom_strategies import find

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(console, tmp_path):
    folder = tmp_path / "strategies"
    folder.mkdir()
    console.extensions["settings"] = replace(console.extensions["settings"], strategies_dir=folder)
    return folder


def test_a_new_strategy_is_a_working_one(console, folder):
    answer = console.test_cli_runner().invoke(args=["new-strategy", "three_up"])
    assert answer.exit_code == 0
    assert str(folder / "three_up.py") in answer.output
    [found] = find(folder)
    assert (found.name, found.error) == ("three_up", None)
    again = console.test_cli_runner().invoke(args=["new-strategy", "three_up"])
    assert again.exit_code == 1
    assert "exists already" in again.output
    assert (folder / "three_up.py").read_text() == EXAMPLE


@pytest.mark.parametrize("name", ["../evil", "Three", "sma_cross", "a b", "", "x" * 100])
def test_a_bad_name_is_refused_and_nothing_is_written(console, folder, name):
    answer = console.test_cli_runner().invoke(args=["new-strategy", name])
    assert answer.exit_code == 1
    assert "strategy" in answer.output
    assert list(folder.iterdir()) == []


def test_the_example_of_the_docs_is_the_one_that_is_written():
    text = (ROOT / "docs" / "strategies.md").read_text(encoding="utf-8")
    assert re.search(r"```python\n(.*?)```", text, flags=re.DOTALL).group(1).split() == EXAMPLE.split()


def test_check_strategy_leaves_the_web_process(console, monkeypatch):
    called = []
    monkeypatch.setattr(os, "execv", lambda *arguments: called.append(arguments))
    console.test_cli_runner().invoke(args=["check-strategy", "sma_cross"])
    assert called == [(sys.executable, [sys.executable, "-m", "workers.check_strategy", "sma_cross"])]
