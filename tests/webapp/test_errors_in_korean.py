"""Whatever engine, storage and workers say went wrong is said in Korean to who reads Korean.

Every sentence that an error of theirs can say is looked for in the code, with a 7 where something varies.
"""

import ast
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from flask_babel import force_locale

from webapp import phrases
from webapp.error_phrases import ERRORS

ROOT = Path(__file__).parents[2]
KOREAN = re.compile("[가-힣]")
WORDS = re.compile(r"[a-z]{2,}.* .*[a-z]{2,}")
OF_COMMANDS = {
    "access.py", "alert_channels.py", "copy_database.py", "env_file.py", "lock.py", "object_settings.py",
    "settings.py", "sources.py", "store_benchmark.py", "supervisor.py", "valkey.py",
}  # fmt: skip
"""Modules whose errors stop a command or the start of the product: no page can show them. Beside them: legacy_*."""
PLAIN = {"AssertionError", "KeyError", "LookupError", "RuntimeError", "TypeError", "ValueError"}
"""Errors of a programmer, never shown as they are."""
WITH_WORDS = {
    "unknown strategy 7; 7": ["unknown strategy 'x'; did you mean 'y'?", "unknown strategy 'x'; known: 'y', 'z'"],
    "7 (7) must be 7": ["fast (30) must be less than slow (10)"],
    "the values of 7 were 7; allowed: 7": [
        "the values of 'Mean' were int64 of shape (3,); allowed: a float64 array of 4 values, one a bar, "
        "nan where there is none"
    ],
    "there is no backup 7 in 77": [
        "there is no backup 'x' in /backups; there is none yet",
        "there is no backup 'x' in s3://b; the newest are 20250101T000000Z, 20250102T000000Z",
    ],
    "7 7 or newer is needed, 7; install the PostgreSQL client programs (Debian: postgresql-client-7) where this "
    "command runs": [
        "pg_dump 16 or newer is needed, it was not found on PATH; install the PostgreSQL client programs (Debian: "
        "postgresql-client-16) where this command runs",
        "pg_dump 16 or newer is needed, only version 14, 15 was found; install the PostgreSQL client programs (Debian: "
        "postgresql-client-16) where this command runs",
    ],
    "7 bars of 7 7 differ from those stored, the first at 7 UTC (7); say which side wins": [
        "1,204 bars of KRW-BTC 1h differ from those stored, the first at 2025-01-01 09:00 UTC "
        "(close 1.5 stored, 2.5 new); say which side wins"
    ],
    "no row of the file can be a bar; are the columns the right ones?7": [
        "no row of the file can be a bar; are the columns the right ones?",
        "no row of the file can be a bar; are the columns the right ones? The first says: the time cannot be read.",
    ],
    "the result of backtest 7 is missing7": [
        "the result of backtest 7 is missing: /x/y does not exist",
        "the result of backtest 7 is missing: it stored none",
    ],
    "7, or ccxt: and a name such as ccxt:kraken7": [
        "upbit, binance, or ccxt: and a name such as ccxt:kraken",
        "upbit, binance, or ccxt: and a name such as ccxt:kraken (did you mean upbit?)",
    ],
    "a date from 7 to today": ["a date from 2009-01-01 to today"],
    "its times are out of order: row 7 of 7 7": [
        "its times are out of order: row 3 of KRW-BTC comes after its next",
        "its times are out of order: row 3 of KRW-BTC has the time of its next",
    ],
    "7; allowed: the same labels and panes for every symbol": [
        "the lines of KRW-ETH are others than those of KRW-BTC; allowed: the same labels and panes for every symbol"
    ],
}
"""Sentences in which what varies has words of its own, and what becomes of them."""


def texts(node: ast.expr) -> list[str]:
    """The texts that an expression can be, with a 7 for what varies."""
    match node:
        case ast.Constant(value=str() as text):
            return [text]
        case ast.IfExp():
            return [*texts(node.body), *texts(node.orelse)]
        case ast.JoinedStr():
            found = [""]
            for part in node.values:
                inner = texts(part) if isinstance(part, ast.Constant) else texts(part.value) or ["7"]
                found = [before + one for before in found for one in inner]
            return found
    return []


def spoken(node: ast.AST, verifies: bool) -> Iterator[ast.expr]:
    """What a statement says to people: the arguments of what it raises, of an error's own words, of an alert."""
    match node:
        case ast.Raise(exc=ast.Call() as made) if getattr(made.func, "id", "") not in PLAIN:
            yield from (*made.args, *(one.value for one in made.keywords))
        case ast.ClassDef():
            for inner in chain.from_iterable(map(ast.walk, node.body)):
                match inner:
                    case ast.Call(func=ast.Attribute(attr="__init__")):
                        yield from inner.args
                    case ast.FunctionDef(name="__str__"):
                        yield from (one.value for one in ast.walk(inner) if isinstance(one, ast.Return) and one.value)
        case ast.Call(func=ast.Name(id="Problem")):
            yield from node.args[:1]
        case ast.Yield(value=ast.expr() as said) if verifies:
            yield from (said, *getattr(said, "args", ()), *getattr(said, "elts", ()))


def sentences() -> dict[str, str]:
    """Every sentence with the place where it stands."""
    found = {}
    for path in chain.from_iterable(
        (ROOT / package).rglob("*.py") for package in ("engine", "storage_core", "workers")
    ):
        if path.name in OF_COMMANDS or path.name.startswith("legacy_"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for said in spoken(node, path.name.startswith("verify")):
                found.update({one: f"{path.name}:{said.lineno}" for one in texts(said) if WORDS.search(one)})
    return found


@pytest.fixture
def in_korean(app):
    with app.test_request_context("/"), force_locale("ko"):
        yield


def test_every_sentence_of_an_error_has_its_korean(in_korean):
    found = sentences()
    assert len(found) > 150
    unknown = {
        said: where for said, where in found.items() if said not in WITH_WORDS and not KOREAN.search(phrases.said(said))
    }
    assert unknown == {}, "add them to webapp/error_phrases.py, and run ./dev translations"


def test_sentences_with_words_inside_have_it_too(in_korean):
    assert WITH_WORDS.keys() - sentences().keys() == set()
    for example in chain.from_iterable(WITH_WORDS.values()):
        said = phrases.said(example)
        assert KOREAN.search(said), example
        assert not re.search(r"\b(the|it|is|was|allowed|near|first)\b", said), said


@pytest.mark.parametrize(
    ("english", "korean"),
    [
        (
            "upbit: it has no market KRW-XYZ; near to it: KRW-XRP",
            "upbit: KRW-XYZ 마켓이 없습니다. 비슷한 마켓: KRW-XRP",
        ),
        ("ccxt:kraken: it did not answer in time", "ccxt:kraken: 제때 응답하지 않았습니다"),
        ("upbit: it answered 500: gone fishing", "upbit: 응답 500: gone fishing"),
        (
            "s3://lab/results/a.parquet: the store cannot be reached (refused)",
            "s3://lab/results/a.parquet: 저장소에 연결할 수 없습니다(refused)",
        ),
        (
            "strategy 'mine': signals failed: KeyError: 'n'",
            "전략 'mine': signals 함수가 실패했습니다: KeyError: 'n'",
        ),
        (
            "bar 3: close was 0.0; allowed: a finite price above 0",
            "3번째 봉의 close 값이 0.0입니다. 가능한 값: 0보다 큰 유한한 가격",
        ),
        ("cannot write /data/x: No space left on device", "/data/x 쓰기 실패: 디스크에 남은 공간이 없습니다"),
        (
            "No backup for more than 26 hours: there has been none.",
            "26시간 넘게 백업이 없습니다: 한 번도 없음.",
        ),
        (
            "json written from parquet; lines of the strategy given up: their file was missing or damaged, and nothing "
            "else has them; run the backtest again",
            "parquet 쪽에서 json 쪽을 다시 씀; 전략의 보조선을 포기함: 파일이 없거나 손상되었고 "
            "다른 곳에 남아 있지 않습니다. 백테스트를 다시 실행하세요",
        ),
        ("what nobody here has ever said", "what nobody here has ever said"),
    ],
)
def test_what_people_read(in_korean, english, korean):
    assert phrases.said(english) == korean


@pytest.mark.parametrize("text", ["x: " * 1_000, "it has 3 rows, " * 200, "a; " * 500, "x is y; allowed: " * 200])
def test_what_only_somebody_elses_code_says_is_passed_on(in_korean, text):
    """An error of a person's own strategy may be of any length and depth, and full of our words."""
    assert phrases.said(text) == text
    shorter = f"strategy 'mine': signals failed: {text[:300]}"
    assert phrases.said(shorter).startswith("전략 'mine': signals 함수가 실패했습니다: ")


def test_no_sentence_stands_there_twice():
    assert len(ERRORS) == len(set(ERRORS))
    assert set(ERRORS) & {*phrases.PATTERNS, *phrases.WORDS} == set()
