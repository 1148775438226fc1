"""A slow query is named in the log, with its statement and without what was asked for."""

import pytest
from sqlalchemy import event, text
from structlog.testing import capture_logs

from storage_core import slow_queries
from storage_core.db import session_scope
from storage_core.slow_queries import watch_queries


@pytest.fixture
def said(monkeypatch):
    monkeypatch.setattr(slow_queries, "log", slow_queries.structlog.get_logger("queries"))
    with capture_logs() as lines:
        yield lines


def ask(engine):
    with session_scope(engine) as session:
        session.execute(text("SELECT  name FROM users\n WHERE name = :name"), {"name": "a secret"})


def test_a_slow_query_is_named_without_its_parameters(engine, said, monkeypatch):
    monkeypatch.setattr(slow_queries, "SLOW_SECONDS", 0.0)
    ask(engine)
    (line,) = [line for line in said if "FROM users" in line["statement"]]
    assert (line["event"], line["log_level"]) == ("slow query", "warning")
    assert line["statement"].startswith("SELECT name FROM users WHERE name = ")
    assert "a secret" not in str(line)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_everyday_query_is_not(engine, said, monkeypatch):
    monkeypatch.setattr(slow_queries, "SLOW_SECONDS", 3_600.0)
    ask(engine)
    assert said == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_query_that_fails_leaves_nothing_behind(engine, said, monkeypatch):
    monkeypatch.setattr(slow_queries, "SLOW_SECONDS", 0.0)
    with engine.connect() as connection:
        with pytest.raises(Exception, match="no such table"):
            connection.execute(text("SELECT 1 FROM nowhere"))
        said.clear()
        connection.execute(text("SELECT 1"))
    assert [line["statement"] for line in said] == ["SELECT 1"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_watching_twice_names_once(engine, said, monkeypatch):
    watch_queries(engine)
    assert event.contains(engine, "after_cursor_execute", slow_queries._end)
    monkeypatch.setattr(slow_queries, "SLOW_SECONDS", 0.0)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    assert len(said) == 1
