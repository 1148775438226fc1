"""The list of backtests with 1,000,000 rows on PostgreSQL, or 100,000 on SQLite: as SQL, through our code, as a page.

Each question is asked with other values every time. `SQL` is what `list_page` sends, over one open connection, until
all rows are received; `list_page` adds making objects of them, in a session of its own; `page` is the whole HTML
answer of the web, made in this process. The mixed load is asked by several processes at once, as SQL and through
`list_page`.
"""

import argparse
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Any

from sqlalchemy import Connection, Engine, event, text

from benchmarks.lab import Lab, laboratory
from benchmarks.report import Figure, Report
from storage_core.backtest_filters import Filters
from storage_core.backtest_list import list_page
from storage_core.backtest_orders import SORTS
from storage_core.db import make_engine, session_scope
from storage_core.models import User
from storage_core.settings import Settings

STRATEGIES = ("sma_cross", "rsi_reversion", "donchian_breakout", "macd_cross", "volume_zone_breakout", "own_1", "own_2")
COINS = ("BTC", "ETH", "XRP", "SOL", "DOGE", "ADA", "DOT", "AVAX", "LINK", "TRX")
SYMBOLS = tuple(f"KRW-{coin}" for coin in COINS) + tuple(f"KRW-C{number}" for number in range(90))
DEEP_PAGE, PAGE_SIZE = 1_000, 25
GOALS = {"SQL": "goal: p95 under 5", "page": "goal: p95 under 50", "mixed": "goal: over 2,500"}
Question = dict[str, Any]
Call = tuple[str, Any]

COLUMNS = """task_id, strategy, symbols, start_date, end_date, timeframe, status, metadata, created_at, updated_at,
    params, spec, source, note, pinned, tags, attempt, progress, phase, queued_at, revision, owner_id, sharpe,
    total_return_pct, max_drawdown_pct, win_rate_pct, trade_count, sparkline"""
POSTGRES_ROWS = """
    SELECT gen_random_uuid(), (CAST(:strategies AS text[]))[1 + (n * 7919) % CAST(:strategy_count AS int)],
        jsonb_build_array((CAST(:symbols AS text[]))[1 + (n * 104729) % CAST(:symbol_count AS int)]),
        '2024-01-01', '2024-12-31', '1h',
        CASE WHEN n % 100 = 0 THEN 'failed' WHEN n % 100000 = 1 THEN 'queued' ELSE 'completed' END,
        jsonb_build_object('metrics', repeat(md5(n::text), 30)), now() - n * interval '1 minute', now(),
        '{"fast": 10, "slow": 30}', '{"initial_cash": 10000, "costs": {"fee_rate": 0.001}}', 'web',
        CASE WHEN n % 1000 = 3 THEN 'a note about ' || n ELSE '' END, n % 500 = 4, '[]', 1, 1, '', now(), 1, 1,
        CASE WHEN n % 100 > 0 THEN 6 * random() - 3 END, CASE WHEN n % 100 > 0 THEN 100 * random() - 50 END,
        50 * random(), 100 * random(), n % 300,
        to_jsonb(ARRAY(SELECT round((10000 + 100 * sin(n + k))::numeric, 1) FROM generate_series(1, 40) AS k))
    FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n"""


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench listing", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--rows", type=int, default=None, help="1,000,000, on SQLite 100,000")
    parser.add_argument("--runs", type=int, default=300, help="samples of each figure")
    parser.add_argument("--processes", type=int, default=4, help="that ask the mixed load")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each mixed load")
    options = parser.parse_args(argv)
    on_postgres = options.database == "postgresql"
    rows = options.rows or (1_000_000 if on_postgres else 100_000)
    report = Report(f"listing, {rows:,} rows on {options.database}")
    with laboratory(postgres=on_postgres) as lab:
        started = time.perf_counter()
        fill(lab.engine, rows)
        report.notes.append(f"filled in {time.perf_counter() - started:.0f} s")
        deep = cursor_of(lab.engine, DEEP_PAGE)
        measure(report, lab.engine, deep, options.runs)
        measure_pages(report, lab.settings, deep, options.runs)
        for how in ("SQL", "list_page"):
            rate = mixed(lab, deep, how, options.processes, options.seconds)
            goal = GOALS["mixed"] if how == "SQL" else ""
            report.add(f"mixed, {how}, {options.processes} processes", "1/s", [rate], goal)
    report.show(as_json=options.json)
    return 0


def fill(engine: Engine, rows: int) -> None:
    """That many backtests, the indexes built afterwards, and statistics as PostgreSQL has them when it has settled."""
    with session_scope(engine) as session:
        session.add_all([User(id=1, name="ada", role="admin", password_hash=""),
                         User(id=2, name="bob", role="trader", password_hash="")])  # fmt: skip
    if engine.dialect.name == "sqlite":
        fill_sqlite(engine, rows)
        return
    values = {"strategies": list(STRATEGIES), "strategy_count": len(STRATEGIES)}
    values |= {"symbols": list(SYMBOLS), "symbol_count": len(SYMBOLS)}
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        indexes = connection.execute(
            text(
                "SELECT indexname, indexdef FROM pg_indexes"
                " WHERE tablename = 'backtest_results' AND indexname LIKE 'ix_%'"
            )
        ).all()
        for name, _ in indexes:
            connection.execute(text(f"DROP INDEX {name}"))
        for first in range(1, rows + 1, 100_000):
            last = min(first + 99_999, rows)
            insert = text(f"INSERT INTO backtest_results ({COLUMNS}) {POSTGRES_ROWS}")
            connection.execute(insert, {**values, "first": first, "last": last})
        connection.execute(text("SET maintenance_work_mem = '256MB'"))
        for _, definition in indexes:
            connection.execute(text(definition))
        connection.execute(text("VACUUM ANALYZE backtest_results"))


def fill_sqlite(engine: Engine, rows: int) -> None:
    """The same, made in Python."""
    generator, now = dice(7), int(time.time())
    marks = ", ".join("?" * (COLUMNS.count(",") + 1))
    statement = f"INSERT INTO backtest_results ({COLUMNS}) VALUES ({marks})"  # noqa: S608
    with engine.begin() as connection:
        for first in range(0, rows, 10_000):
            some = [sqlite_row(number, now, generator) for number in range(first, min(first + 10_000, rows))]
            connection.exec_driver_sql(statement, some)


def sqlite_row(number: int, now: int, generator: random.Random) -> tuple[Any, ...]:
    """One row in the order of COLUMNS."""
    at = time.strftime("%Y-%m-%d %H:%M:%S.000000", time.gmtime(now - 60 * number))
    done = number % 100 > 0
    metrics = [generator.uniform(-3, 3), generator.uniform(-50, 50)] if done else [None, None]
    symbol = SYMBOLS[number * 104729 % len(SYMBOLS)]
    line = "[" + ", ".join(f"{10_000 + generator.random() * 100:.1f}" for _ in range(40)) + "]"
    return (
        f"{generator.getrandbits(128):032x}", STRATEGIES[number * 7919 % len(STRATEGIES)], f'["{symbol}"]',
        "2024-01-01", "2024-12-31", "1h", "completed" if done else "failed", '{"metrics": "' + "x" * 1000 + '"}',
        at, at, '{"fast": 10}', '{"initial_cash": 10000}', "web",
        f"a note about {number}" if number % 1000 == 3 else "", number % 500 == 4, "[]", 1, 1.0, "", at, 1, 1,
        *metrics, 50 * generator.random(), 100 * generator.random(), number % 300, line,
    )  # fmt: skip


def dice(seed: int) -> random.Random:
    """Chance that falls the same way each time."""
    return random.Random(seed)  # noqa: S311


def questions(deep: str | None) -> dict[str, Callable[[random.Random], Question]]:
    """What people ask of the list, each time with other values."""

    def some_range(values: random.Random) -> Question:
        low = values.uniform(-40, 30)
        return {"filters": Filters(metrics={"total_return_pct": (low, low + 10)}), "sort": "-sharpe"}

    return {
        "newest": lambda values: {},
        "strategy and status": lambda values: {
            "filters": Filters(strategies=[values.choice(STRATEGIES)], statuses=["completed"])
        },
        "symbol": lambda values: {"filters": Filters(symbols=[values.choice(SYMBOLS)])},
        "return range by Sharpe": some_range,
        "of a person who has all": lambda values: {"owner_id": 1},
        "of a person who has none": lambda values: {"owner_id": 2},
        "rare symbol": lambda values: {"filters": Filters(symbols=[f"KRW-NONE{values.randrange(99)}"])},
        "text in the note": lambda values: {"filters": Filters(text=f"about {values.randrange(10, 999)}")},
        "some column, up or down": lambda values: {"sort": values.choice(SORTS)},
        "some column of one strategy": lambda values: {
            "filters": Filters(strategies=[values.choice(STRATEGIES)]),
            "sort": values.choice(SORTS),
        },
        f"page {DEEP_PAGE:,}": lambda values: {"after": deep},
    }


def cursor_of(engine: Engine, page: int) -> str | None:
    """Where that page of the list begins."""
    cursor, left = None, (page - 1) * PAGE_SIZE
    while left:
        size = min(left, 200)
        with session_scope(engine) as session:
            cursor = list_page(session, after=cursor, size=size).older
        left -= size
    return cursor


def measure(report: Report, engine: Engine, deep: str | None, runs: int) -> None:
    """Add the figures of each question, as SQL and through list_page."""
    for name, make in questions(deep).items():
        asked = [make(dice(number)) for number in range(runs)]
        calls = [captured(engine, question) for question in asked]
        with engine.connect() as connection, at_once(connection):
            report.add(f"SQL: {name}", "ms", timed([lambda c=c: send(connection, c) for c in calls]), GOALS["SQL"])
        report.add(f"list_page: {name}", "ms", timed([lambda q=q: ask(engine, q) for q in asked]))


def timed(calls: list[Callable[[], object]]) -> list[float]:
    """Milliseconds of each call, after some that only warm up."""
    for call in calls[:20]:
        call()
    samples = []
    for call in calls:
        start = time.perf_counter()
        call()
        samples.append(1000 * (time.perf_counter() - start))
    return samples


def ask(engine: Engine, question: Question) -> None:
    """As the web does."""
    with session_scope(engine) as session:
        list_page(session, size=PAGE_SIZE, **question)


def captured(engine: Engine, question: Question) -> list[Call]:
    """The statements that `list_page` sends, with their parameters."""
    calls: list[Call] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        calls.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        ask(engine, question)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return calls


def send(connection: Connection, calls: list[Call]) -> None:
    """Execute the statements with nothing between us and the driver, and receive all rows.

    PostgreSQL has sent them when `execute` returns; SQLite makes each row when it is fetched.
    """
    raw: Any = connection.connection.driver_connection
    together = any(statement.startswith("SAVEPOINT") for statement, _ in calls)
    for statement, parameters in [("BEGIN", ()), *calls, ("COMMIT", ())] if together else calls:
        cursor = raw.cursor()
        cursor.execute(statement, parameters)
        if connection.dialect.name == "sqlite":
            cursor.fetchall()
        cursor.close()
    if connection.dialect.name == "sqlite":
        raw.rollback()


@contextmanager
def at_once(connection: Connection) -> Iterator[None]:
    """Each statement is a transaction of its own, without the messages that would begin and end one."""
    raw: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        yield
        return
    raw.autocommit = True
    yield
    raw.autocommit = False


def mixed(lab: Lab, deep: str | None, how: str, processes: int, seconds: float) -> float:
    """Questions a second, all kinds in turn, asked by several processes at once."""
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(processes)
    with context.Pool(processes, initializer=meet_at, initargs=(together,)) as pool:
        jobs = [(lab.settings.database_url, deep, how, number, seconds) for number in range(processes)]
        return sum(pool.starmap(keep_asking, jobs, chunksize=1)) / seconds


_MEETING: list[Any] = []
"""In each asking process: what it waits at until all of them are warm."""


def meet_at(barrier: Any) -> None:
    """Keep it for later: a barrier can only be handed over when a process starts."""
    _MEETING.append(barrier)


def keep_asking(url: str, deep: str | None, how: str, seed: int, seconds: float) -> int:
    """How many questions were answered in that time."""
    engine, values = make_engine(url), dice(seed)
    asked = [make(values) for _ in range(50) for make in questions(deep).values()]
    with asking(engine, asked, how) as calls:
        for call in calls[:60]:
            call()
        _MEETING[0].wait()
        count, end = 0, time.perf_counter() + seconds
        for call in cycle(calls):
            call()
            count += 1
            if time.perf_counter() > end:
                break
    engine.dispose()
    return count


@contextmanager
def asking(engine: Engine, asked: list[Question], how: str) -> Iterator[list[Callable[[], object]]]:
    """The questions as things to call."""
    if how == "list_page":
        yield [lambda q=question: ask(engine, q) for question in asked]
        return
    captured_calls = [captured(engine, question) for question in asked]
    with engine.connect() as connection, at_once(connection):
        yield [lambda c=calls: send(connection, c) for calls in captured_calls]


def measure_pages(report: Report, settings: Settings, deep: str | None, runs: int) -> None:
    """Add the time that the web takes to answer with the whole page."""
    from webapp import create_app
    from webapp.extensions import db

    app = create_app(settings)
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"], session["_fresh"] = "1", True

    def get(address: str) -> None:
        answer = client.get(address)
        assert answer.status_code == 200, answer.status
        assert answer.data.count(b'id="backtest-') >= PAGE_SIZE, "a full page"

    for name, address in {"newest": "/backtests", f"page {DEEP_PAGE:,}": f"/backtests?after={deep}"}.items():
        samples = timed([lambda a=address: get(a)] * min(runs, 100))
        report.figures.append(Figure(f"page: {name}", "ms", samples, GOALS["page"]))
    with app.app_context():
        db.engine.dispose()
