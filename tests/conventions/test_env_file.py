"""The environment file that people copy names every setting, and nothing that is none."""

import re
from pathlib import Path

from dotenv import dotenv_values

from storage_core.env_file import env_file
from storage_core.settings import VARIABLES, Settings

ROOT = Path(__file__).parents[2]


def test_the_example_is_what_the_command_prints():
    assert (ROOT / ".env.example").read_text() == env_file(), "run: .venv/bin/flask env-file > .env.example"


def test_every_setting_is_in_it_and_every_line_can_be_taken_as_it_is(tmp_path):
    lines = re.sub(r"^#(?=[A-Z][A-Z0-9_]*=)", "", env_file(), flags=re.MULTILINE)
    (tmp_path / "all.env").write_text(lines)
    values = dotenv_values(tmp_path / "all.env", interpolate=False)
    assert list(values) == [variable.name for variable in VARIABLES]
    data = str(tmp_path / "data")
    taken = {name: (value or "").replace("./data", data).replace("{DATA_DIR}", data) for name, value in values.items()}
    assert Settings.from_env(taken) == Settings.from_env({"DATA_DIR": data})
