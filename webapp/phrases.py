"""Sentences that engine, storage and workers speak in English, in the language of the page.

Nothing below the pages knows of languages: an error says in English what it was and what is allowed, a row keeps the
phase of its run and the message of its failure. The pages translate what they recognise, and show the rest as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from flask_babel import gettext

from engine.catalog import STRATEGIES
from webapp.error_phrases import ERRORS
from webapp.language import current

WORDS: Final = (
    # states, exit reasons, sides, outcomes and roles, as rows keep them
    "queued", "running", "completed", "failed", "cancelled",
    "signal", "stop", "target", "trailing", "time", "open", "closed", "long", "short",
    "admin", "trader", "viewer", "read", "write", "yes", "no",
    # kinds of processes, and of work that is done for the store and the bars
    "worker", "worker-io", "clock",
    "fetch bars", "backup", "verify backup", "rehearse backup", "prune backups", "cleanup results", "undelete results",
    "verify results", "reconcile results",
    "1 day", "7 days", "30 days", "90 days", "365 days",
    # what a run spends its time on
    "starting", "reading bars", "simulating", "checking for lookahead", "computing metrics", "drawing lines",
    "comparing", "saving", "simulate", "lookahead", "metrics", "lines", "save",
    "looking", "deleting", "reading the database", "sending the database", "sending files",
    "sending the list of files", "checking that all is there", "restoring files", "verifying what was restored",
)  # fmt: skip
PATTERNS: Final = (
    # phases
    "asking %(exchange)s", "waiting: another %(what)s is running", "%(day)s, %(pages)s pages, %(bars)s bars added",
    # what is allowed in a field
    "a whole number", "a whole number from %(low)s to %(high)s", "a whole number from %(low)s up",
    "a whole number up to %(high)s", "a whole number above %(low)s", "a whole number above %(low)s and up to %(high)s",
    "a number", "a number from %(low)s to %(high)s", "a number from %(low)s up", "a number up to %(high)s",
    "a number above %(low)s", "a number above %(low)s and up to %(high)s",
    "true or false", "one of %(names)s", "less than %(other)s",
    "a list of 1 to %(most)s symbols", "each symbol once", "symbol %(symbol)s is named twice",
    "QUOTE-BASE in capitals and digits, such as KRW-BTC",
    "a date such as 2024-12-31", "a date such as 2024-01-31", "on or before end_date (%(day)s)",
    "a date from %(first)s to today", "a date after %(day)s", "a time zone name such as UTC or Asia/Seoul",
    "the date of the first bar wanted, as no bars of %(what)s are stored",
    "quote-base in upper case, e.g. KRW-BTC or USDT-BTC",
    "nothing: all_in uses all cash", "a number above 0 for %(kind)s",
    "a fraction above 0 and up to 1: there is no leverage",
    "a name that no other account has", "a name that no other view of yours has",
    "a name such as UTC, Asia/Seoul or Europe/Berlin", "something harder to guess", "the same password twice",
    "1 to 80 letters, digits, or . _ @ + -, starting with a letter or digit",
    "1 to %(most)s printable characters", "1 to %(most)s printable characters without a comma",
    "1 to %(most)s printable characters each", "at most %(most)s", "at most %(most)s for one backtest",
    "at most %(most)s at once", "at most %(most)s views; delete one first", "%(most)s at most; delete one first",
    "at most %(most)s at a time; revoke one", "at least one of %(names)s", "some of %(names)s",
    "above %(low)s and up to %(high)s", "%(low)s to %(high)s", "numbers",
    # what a field was
    "%(n)s characters long", "empty", "different", "the name, or one character again and again", "%(n)s tags",
    "%(n)s backtests", "the %(n)sth view", "your %(n)sth", "token number %(n)s",
    # whole sentences about fields
    "unknown strategy %(name)s; did you mean %(other)s?", "unknown strategy %(name)s; known: %(names)s",
    "unknown field %(name)s; did you mean %(other)s?", "unknown field %(name)s; known: %(names)s",
    "%(name)s (%(value)s) must be less than %(other)s (%(limit)s)",
    # why bars are missing, and why a run or a fetch failed
    "%(name)s from %(first)s to %(last)s", "%(name)s from %(first)s to %(last)s and %(n)s more",
    "no bars at all yet", "no bars for %(what)s; available: %(others)s",
    "the worker fell silent in each of %(tries)s attempts; see the log of its machine",
    "the run broke: %(why)s", "strategy %(name)s: %(why)s", "the bars in %(path)s cannot be read: %(why)s",
    "the result file %(path)s is damaged: %(why)s",
    "backtest %(id)s cannot be deleted: it is pinned", "backtest %(id)s cannot be verified: it was not computed here",
    "backtest %(id)s cannot be verified: it is %(state)s", "backtest %(id)s was deleted too long ago to be restored",
    # why the lines of a strategy are not drawn
    "lines failed: %(why)s", "lines returned %(kind)s; allowed: a list of DrawnLines",
    "lines returned %(n)s lines; allowed: at most %(most)s",
    "line %(n)s was %(kind)s; allowed: DrawnLine(label, values)",
    "the label of line %(n)s was %(was)s; allowed: 1 to %(most)s printable characters",
    "the label of line %(n)s was %(was)s; allowed: any but %(names)s",
    "two lines are called %(name)s; allowed: a label that no other line has",
    "the pane of %(name)s was %(was)s; allowed: %(names)s", "faint of %(name)s was %(was)s; allowed: True or False",
    "the values of %(name)s were %(kind)s; allowed: "
    "a float64 array of %(n)s values, one a bar, nan where there is none",
    "the line %(name)s changes at bar %(n)s when later bars are cut off (lookahead)",
    "the labels change when later bars are cut off; allowed: labels made of the params only",
    "the lines of %(symbol)s are others than those of %(other)s; allowed: the same labels and panes for every symbol",
    "their file was missing or damaged, and nothing else has them; run the backtest again",
    "they could not be stored: %(why)s", "lines of the strategy given up: %(why)s",
    "lines of the strategy put back", "the code of the strategy has changed", "it draws none any more",
    # files that people send
    "choose a file first", "the file is empty", "the file is larger than %(size)s MB; send it in parts",
    "the file has no lines", "the file is not a table: its first line has no comma, semicolon or tab",
    "the file is not CSV: %(why)s", "the file has %(n)s columns; at most %(most)s are read",
    "the file has a first line and no rows", "the file is neither text nor Parquet: it has zero bytes",
    "the Parquet file cannot be read: %(why)s", "the file has %(n)s rows; at most %(most)s are read",
    "the file has no rows", "unpacked, the file would have %(size)s GB; at most 2 GB are read",
    "two columns of the file have the same name", "choose the column of: %(names)s",
    "the same column was chosen twice", "the file has more than %(n)s rows; send it in parts",
    "the file is not UTF-8 text: save it as UTF-8", "the CSV cannot be read: %(why)s",
    "a column of %(kind)s cannot be read as numbers", "a column of %(kind)s cannot be read as times",
    "write the symbol as quote-base in upper case, e.g. KRW-BTC", "choose one of %(names)s",
    "%(name)s is not a time zone such as UTC or Asia/Seoul",
    "no row of the file can be a bar; are the columns the right ones?",
    # alerts
    "The queue server does not answer: %(why)s", "No worker has given a sign of life since %(since)s",
    "The disk of %(path)s is %(share)s full: %(free)s GB are free",
    "The stored result of %(id)s is missing or damaged: %(why)s",
)  # fmt: skip
OR_NOTHING: Final = ", or nothing"
LONGEST, DEEPEST = 1_000, 6
NUMBER: Final = r"[-+]?[\d.,]+(?:e[-+]?\d+)?%?"
DATE: Final = r"\d{4}-\d\d-\d\d"
SHAPES: Final = {
    **dict.fromkeys(("n", "low", "high", "most", "tries"), NUMBER),
    **dict.fromkeys(("day", "first", "last"), DATE),
    "field": r"[\w.]+",
    "exchange": r"(?:ccxt:)?[a-z0-9_]+",
    "place": r"(?:s3://|/)\S+",
    **dict.fromkeys(("made", "source", "dropped"), r"(?:json|parquet)(?:\+parquet)?"),
}
"""What stands for a name in the patterns; for other names: anything."""
TALKING: Final = frozenset({"why", "others", "allowed", "state", "what", "cure"})
"""Names in the patterns that stand for words which speak the language too."""


def texts() -> Iterator[str]:
    """Every text above, for the catalogues."""
    yield from WORDS
    yield from PATTERNS
    yield from ERRORS
    yield "%(phrase)s, or nothing"


@cache
def _compiled() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Every pattern, the one that says the most first: it fits the fewest sentences."""
    found = []
    for phrase in sorted((*PATTERNS, *ERRORS), key=lambda one: -len(re.sub(r"%\(\w+\)s", "", one))):
        parts = re.split(r"%\((\w+)\)s", phrase)
        names = parts[1::2]
        pattern = re.escape(parts[0])
        for name, rest in zip(names, parts[2::2], strict=True):
            pattern += f"(?P<{name}>{SHAPES.get(name, '.+?')}){re.escape(rest)}"
        found.append((re.compile(pattern, re.DOTALL), phrase))
    return tuple(found)


def said(text: str) -> str:
    """A sentence, phrase or word from below in the language of the page; as it is when nothing here is like it."""
    return text if not text or current() == "en" else _said(text, DEEPEST)


def _said(text: str, depth: int) -> str:
    """Of a text as long or as deep as only somebody else's code speaks, what goes too far stays as it is."""
    known = gettext(text)
    if known != text or not depth or len(text) > LONGEST:
        return known
    if text.endswith(OR_NOTHING):
        return gettext("%(phrase)s, or nothing", phrase=_said(text.removesuffix(OR_NOTHING), depth - 1))
    for pattern, phrase in _compiled():
        if match := pattern.fullmatch(text):
            return gettext(phrase, **{name: _inner(name, value, depth) for name, value in match.groupdict().items()})
    return _parts(text, "; ", depth)


def _inner(name: str, value: str, depth: int) -> str:
    """A reason or a list inside a sentence speaks the language too."""
    if name not in TALKING:
        return value
    whole = _said(value, depth - 1)
    return whole if whole != value else _parts(value, ", ", depth)


def _parts(text: str, between: str, depth: int) -> str:
    """Each part of a list in the language; the rest is tried as a whole first, as a part may hold a mark itself."""
    head, mark, rest = text.partition(between)
    if not mark or not depth:
        return text
    whole = _said(rest, depth - 1)
    return f"{_said(head, depth - 1)}{between}{whole if whole != rest else _parts(rest, between, depth - 1)}"


def strategy_name(name: str) -> str:
    """A strategy in lists and tables: by the name that programs use or, in other languages, by its translated label."""
    known = STRATEGIES.get(name)
    return name if known is None or current() == "en" else gettext(known.label)


def sentence(text: str) -> str:
    """The same with a capital and a full stop."""
    text = said(text.strip())
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}" if text else ""


def refused(was: object, allowed: str) -> str:
    """What stands beside a field that cannot be: what it was, and what is allowed."""
    return gettext("Was %(was)s; allowed: %(allowed)s.", was=said(str(was)), allowed=said(allowed))
