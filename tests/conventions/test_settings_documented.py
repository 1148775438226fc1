"""Documentation and code agree on the settings, in both directions."""

import re
from pathlib import Path

from storage_core.settings import VARIABLES

ROOT = Path(__file__).parents[2]


def test_every_setting_is_in_the_docs_and_the_reverse():
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([A-Z0-9_]+)` \|", text, flags=re.MULTILINE))
    assert documented == {variable.name for variable in VARIABLES}


def test_each_default_is_documented_as_it_is():
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([A-Z0-9_]+)` \| (.*?) \|", text, flags=re.MULTILINE))
    for variable in VARIABLES:
        shown = f"`{variable.default}`" if variable.default else "(empty)"
        assert rows[variable.name] == shown, variable.name
