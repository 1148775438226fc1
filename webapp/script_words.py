"""What the scripts of the pages say: they find their words on the body of the page, as no script may be inline."""

from __future__ import annotations

from typing import Final

from webapp.language import current, translated

TEXTS: Final = (
    "The server answered %(n)s.", "The server does not answer. Trying again helps once it is back.",
    "The server does not answer. This page goes on by itself once it is back.",
    "You have been logged out.", "Log in", "You are logged in again.",
    "Another account is logged in now.", "Reload", "The chart is drawn after the log-in.",
    "The chart cannot be drawn.", "This result has no equity curve.", "%(n)s found",
    "equity", "buy and hold", "drawdown", "volume", "entry", "exit", "O", "H", "L", "C",
    "%(n)s fills:", "zoom in to see them",
    # lines of the strategies
    "Mean %(n)s", "High of %(n)s", "Low of %(n)s", "Breakout from", "+%(n)s sd", "-%(n)s sd", "Signal %(n)s",
    "%(n)s x mean volume",
)  # fmt: skip


def script_words() -> dict[str, str]:
    """Each text and its translation; nothing in English, which the scripts speak by themselves."""
    return {} if current() == "en" else {text: translated(text) for text in TEXTS}
