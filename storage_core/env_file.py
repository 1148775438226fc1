"""The environment file: every setting with its explanation, ready to be edited."""

from __future__ import annotations

import textwrap

from storage_core.variables import VARIABLES

HEAD = """\
# Settings of coin-hts, each with its default. Copy this to .env, or to where your service manager reads it,
# and take the # off the lines that you change. docs/settings.md says the same as a table.
"""


def env_file() -> str:
    """The text of `.env.example`: each variable of `settings.VARIABLES`, explained and commented out."""
    parts = [HEAD]
    for variable in VARIABLES:
        explained = textwrap.fill(
            variable.help, 110, initial_indent="# ", subsequent_indent="# ", break_long_words=False
        )
        parts.append(f"{explained}\n#{variable.name}={variable.default}\n")
    return "\n".join(parts)
