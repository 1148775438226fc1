"""Every test that docs/queue.md names exists, as does every command and file."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "queue.md").read_text(encoding="utf-8")


def test_every_named_test_exists():
    named = re.findall(r"`((?:tests/)?[\w/]*test_\w+\.py)(?:::(\w+))?`", TEXT)
    assert len(named) > 15
    for file, function in named:
        path = ROOT / file if file.startswith("tests/") else ROOT / "tests" / "workers" / file
        assert path.is_file(), file
        assert not function or f"def {function}(" in path.read_text(encoding="utf-8"), function


def test_every_named_source_exists():
    for name in re.findall(r"`((?:storage_core|workers)/\w+\.py)`", TEXT):
        assert (ROOT / name).is_file(), name
