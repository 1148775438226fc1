"""Reading a legacy file without trusting it: what it is, how large, which bytes, and strictly as JSON.

Everything that is wrong is a BadLegacyFile with its own sentence; nothing is repaired or guessed.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from storage_core.legacy_errors import BadLegacyFile

MAX_BYTES = 64 * 2**20
MAX_DEPTH = 32
INT64 = 2**63
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_NOT_FILES = {stat.S_ISDIR: "a folder", stat.S_ISFIFO: "a pipe", stat.S_ISSOCK: "a socket"}


def read_bytes(path: Path, *, max_bytes: int = MAX_BYTES) -> tuple[bytes, int]:
    """The bytes of a regular file and its time of change in microseconds; never follows a link, never waits.

    The size is asked before anything is read. Raises FileNotFoundError and BadLegacyFile.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise BadLegacyFile("symlink", "", "is a symbolic link; put the file itself there") from error
        raise BadLegacyFile("unreadable", "", f"cannot be read: {error.strerror}") from error
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            what = next((name for test, name in _NOT_FILES.items() if test(facts.st_mode)), "a device")
            raise BadLegacyFile("not-a-file", "", f"is {what}, not a file")
        if facts.st_size > max_bytes:
            raise _huge(facts.st_size, max_bytes)
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(max_bytes + 1)  # it may have grown
    except OSError as error:
        raise BadLegacyFile("unreadable", "", f"cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
    if len(data) > max_bytes:
        raise _huge(len(data), max_bytes)
    return data, facts.st_mtime_ns // 1000


def parse(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`. NaN and infinities come through as floats, to be named with their field later.

    Raises BadLegacyFile: empty, byte order mark, not UTF-8, truncated, corrupt, nested too deep, duplicate keys.
    """
    text = _text(data)
    try:
        document = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise _not_json(text, error) from error
    except RecursionError as error:
        raise BadLegacyFile("nested", "", f"is nested more than {MAX_DEPTH} levels deep") from error
    except ValueError as error:  # int() refuses more than 4,300 digits
        raise BadLegacyFile("huge-number", "", "holds a whole number of thousands of digits") from error
    if not isinstance(document, dict):
        raise BadLegacyFile("wrong-type", "", f"is {json_type(document)}, not a JSON object")
    return document


def json_type(value: object) -> str:
    """The JSON type of a value, for sentences."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    names = {str: "a text", int: "a whole number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def check_plain(value: object, field: str, *, storable_text: bool = False) -> None:
    """Raise BadLegacyFile when `value` holds NaN, an infinity, a whole number beyond 64 bits or too many levels.

    `storable_text` also refuses the characters that a database column cannot hold.
    """
    waiting: list[tuple[object, str, int]] = [(value, field, 1)]
    while waiting:
        item, where, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise BadLegacyFile("nested", where[:200], f"is nested more than {MAX_DEPTH} levels deep")
        if isinstance(item, dict):
            if storable_text:
                waiting += [(key, f"{where}: the name {key[:40]!r}", depth) for key in item]
            waiting += [(below, f"{where}.{key}" if where else key, depth + 1) for key, below in item.items()]
        elif isinstance(item, list):
            waiting += [(below, f"{where}[{index}]", depth + 1) for index, below in enumerate(item)]
        else:
            _check_scalar(item, where, storable_text)


def not_finite(field: str, value: float) -> BadLegacyFile:
    """The sentence for NaN and the infinities."""
    if math.isnan(value):
        return BadLegacyFile("not-finite", field, "is NaN, which is not a number")
    return BadLegacyFile("not-finite", field, "is infinite, or too large for a number of 64 bits")


def huge_integer(field: str) -> BadLegacyFile:
    """The sentence for whole numbers that no column holds exactly."""
    return BadLegacyFile("huge-number", field, "is a whole number too large to be stored exactly")


def wrong_type(field: str, value: object, allowed: str) -> BadLegacyFile:
    """The sentence for a value of another type."""
    shown = f" ({value[:40]!r})" if isinstance(value, str) else ""
    return BadLegacyFile("wrong-type", field, f"is {json_type(value)}{shown}; allowed: {allowed}")


def _check_scalar(item: object, where: str, storable_text: bool) -> None:
    if isinstance(item, float) and not math.isfinite(item):
        raise not_finite(where, item)
    if isinstance(item, int) and not -INT64 <= item < INT64:
        raise huge_integer(where)
    if storable_text and isinstance(item, str) and ("\x00" in item or any("\ud800" <= c <= "\udfff" for c in item)):
        raise BadLegacyFile("bad-text", where, "holds a character that a database cannot store")


def _text(data: bytes) -> str:
    if not data.strip():
        raise BadLegacyFile("empty", "", "is empty" if not data else "is empty but for white space")
    if not data.strip(b"\x00"):
        raise BadLegacyFile("empty", "", f"holds nothing but {len(data)} zero bytes, as a crash leaves a file")
    for mark, name in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            raise BadLegacyFile("byte-order-mark", "", f"begins with a byte order mark of {name}; save it without one")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadLegacyFile("not-utf-8", "", f"is not UTF-8: byte {error.start} cannot be read") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadLegacyFile("duplicate-key", twice[:80], "stands twice in one JSON object")
    return made


def _not_json(text: str, error: json.JSONDecodeError) -> BadLegacyFile:
    whole = text.rstrip()
    at = f"line {error.lineno}, column {error.colno}: {error.msg}"
    if error.msg == "Extra data":
        return BadLegacyFile("corrupt", "", f"is corrupt: something follows after the end of the JSON ({at})")
    cut = error.pos >= len(whole) or error.msg.startswith("Unterminated") or not whole.endswith("}")
    if cut and whole.startswith("{"):
        return BadLegacyFile("truncated", "", f"is truncated: the JSON ends too early ({at})")
    return BadLegacyFile("corrupt", "", f"is corrupt: not JSON ({at})")


def _huge(size: int, limit: int) -> BadLegacyFile:
    return BadLegacyFile("huge", "", f"is huge: {size:,} bytes; the limit is {limit:,} (--max-megabytes)")
