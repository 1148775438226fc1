"""Which keys an object may have: the same ones in a folder and in S3, so that one can be copied into the other."""

from __future__ import annotations

from storage_core.object_errors import BadKey

LONGEST_KEY = 1024  # bytes: S3's limit
LONGEST_NAME = 255  # bytes: the limit of file systems


def key_problem(key: str) -> str:
    """What is wrong with a key, in words; empty when nothing is.

    A key is one or more names with `/` between them. A name is printable, has no backslash and does not begin with a
    dot: that excludes `..` and keeps hidden names for files that are being written.
    """
    names = key.split("/")
    problems = {
        "it is empty": not key,
        "it holds characters that cannot be printed": not key.isprintable(),
        "it holds a backslash": "\\" in key,
        "it is absolute": key.startswith("/"),
        "one of its names is empty": "" in names,
        "one of its names begins with a dot": any(name.startswith(".") for name in names),
        f"it is longer than {LONGEST_KEY} bytes": _length(key) > LONGEST_KEY,
        f"one of its names is longer than {LONGEST_NAME} bytes": max(map(_length, names)) > LONGEST_NAME,
    }
    return next((problem for problem, found in problems.items() if found), "")


def check_key(where: str, key: str) -> str:
    """Return the key; raises BadKey when no object can have it."""
    if problem := key_problem(key):
        raise BadKey(where, key, problem)
    return key


def check_prefix(where: str, prefix: str) -> str:
    """Return a prefix that some key may begin with (empty: all); raises BadKey when none can."""
    if prefix and (problem := key_problem(prefix + "x")):
        raise BadKey(where, prefix, problem)
    return prefix


def _length(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))
