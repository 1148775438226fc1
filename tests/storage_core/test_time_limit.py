"""A query that takes too long is stopped, on both databases, and nothing of that stays behind."""

import pytest
from sqlalchemy import Engine, Select, func, select, text
from sqlalchemy.exc import DBAPIError

from storage_core.db import session_scope
from storage_core.models import Backtest, User
from storage_core.time_limit import rows_in_time

WITHOUT_END = "(WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n) AS numbers"


def endless() -> Select[tuple[int]]:
    return select(func.count()).select_from(text(WITHOUT_END))


def test_what_is_found_in_time_is_given(engine: Engine) -> None:
    with session_scope(engine) as session:
        assert rows_in_time(session, select(text("1")), milliseconds=10_000) == [(1,)]


def test_a_query_whose_time_is_up_is_none_and_leaves_no_limit_behind(engine: Engine) -> None:
    many = select(func.count()).select_from(text(WITHOUT_END.replace("FROM n)", "FROM n WHERE x < 100000)")))
    with session_scope(engine) as session:
        session.add(User(id=1, name="ada", role="trader", password_hash=""))
        session.flush()
        assert rows_in_time(session, endless(), milliseconds=20) is None
        assert rows_in_time(session, endless(), milliseconds=1) is None
        assert session.execute(many).scalar_one() > 99_000
    with session_scope(engine) as session:
        assert session.get(User, 1) is not None, "what was written before it is there"


def test_an_error_that_is_no_timeout_is_told(engine: Engine) -> None:
    with session_scope(engine) as session, pytest.raises(DBAPIError, match="nothing_of_that_name"):
        rows_in_time(session, select(Backtest.task_id, text("nothing_of_that_name")), milliseconds=10_000)
