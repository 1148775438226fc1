"""The page of the audit log."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage_core import audit
from storage_core.db import session_scope
from tests.webapp import results
from webapp.context.audit import ACTIONS
from webapp.pages.operations_backups import ASKED_FOR

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def entries(engine):
    with session_scope(engine) as session:
        for number in range(120):
            audit.record(
                session,
                actor="tom" if number % 2 else "ada",
                action="account.logged_in" if number % 3 else "token.created",
                target=f"thing {number}",
                detail={"scope": "read", "list": ["a", "b"]},
                address="10.0.0.7",
                request_id="abcdef0123456789",
                now=NOON + timedelta(hours=number),
            )


def rows(page) -> list[str]:
    return [" ".join("".join(row.itertext()).split()) for row in page.find("tbody")[0]]


def test_whatever_is_written_into_the_log_has_words():
    written = {f"backup.{verb}" for verb in ASKED_FOR.values()}
    for folder in ("webapp", "workers"):
        for file in (ROOT / folder).rglob("*.py"):
            for call in re.findall(r"\baudit\((.*)|action=(.*)", file.read_text()):
                written |= set(re.findall(r'"([a-z_]+\.[a-z_]+)"', "".join(call)))
    assert written == set(ACTIONS)


def test_it_is_read_page_by_page(admin, entries):
    first = admin.get("/operations/audit")
    assert len(rows(first)) == 50
    assert "thing 119" in rows(first)[0]
    assert "scope: read, list: a b" in rows(first)[0]
    older = next(link for link in first.find("a") if link.text == "Older").get("href")
    second = admin.get(older)
    assert "thing 69" in rows(second)[0]
    newer = next(link for link in second.find("a") if link.text == "Newer").get("href")
    assert rows(admin.get(newer)) == rows(first)


@pytest.mark.parametrize(
    ("query", "count", "newest"),
    [
        ("actor=TOM&action=token.created", 20, "thing 117"),
        ("target=thing 11", 11, "thing 119"),
        ("from=2026-05-03&to=2026-05-03", 24, "thing 50"),  # the day in Seoul, where ada is
        ("actor=nobody", 0, ""),
    ],
)
def test_filters_are_in_the_address(admin, entries, query, count, newest):
    page = admin.get(f"/operations/audit?{query}")
    if count:
        assert len(rows(page)) == count
        assert newest in rows(page)[0]
    else:
        assert "Nothing in the log fits" in page.text
    fragment = admin.get(f"/operations/audit?{query}", htmx=True)
    assert (fragment.whole, fragment.by_id("audit-entries") is not None) == (False, True)


def test_a_bad_day_is_explained_beside_its_field(admin, entries):
    page = admin.get("/operations/audit?from=yesterday&to=9999-12-31")
    assert "2026-01-31" in page.error_of("audit-from")
    assert page.by_id("audit-to").get("value") == "9999-12-31"


@pytest.mark.parametrize("query", ["after=nonsense", "after=1", "before=99999999999999999999-1"])
def test_a_cursor_of_somebody_elses_making_is_refused(admin, query):
    assert "start again at the first page" in admin.get(f"/operations/audit?{query}", status=400).text


def test_only_admins_see_the_tab(admin, trader):
    assert admin.get("/operations").find("a", id="tab-audit")
    assert not trader.get("/operations").find("a", id="tab-audit")


def test_a_deletion_leads_to_its_backtest(admin, engine, completed, users):
    task_id = completed().rpartition("/")[2]
    assert admin.json(f"/api/v1/backtests/{task_id}", method="DELETE").status_code == 200
    assert admin.json(f"/api/v1/backtests/{task_id}/restore", method="POST").status_code == 200
    other = results.queue(engine, owner_id=users["tom"])
    assert admin.json(f"/api/v1/backtests/{other}", method="DELETE").status_code == 409
    page = admin.get("/operations/audit")
    found = rows(page)
    assert len(found) == 2
    assert ["took a deletion back" in found[0], "deleted a backtest" in found[1]] == [True, True]
    assert page.find("a", href=f"/backtests/{task_id}")


def test_deleting_several_is_noted_for_each_and_only_for_ones_own(trader, admin, completed, users):
    his = [completed(owner_id=users["tom"]).rpartition("/")[2] for _ in range(2)]
    hers = completed().rpartition("/")[2]
    trader.post("/backtests/selected", {"do": "delete", "id": [*his, hers]})
    found = rows(admin.get("/operations/audit?action=backtest.deleted"))
    assert sorted(row.split()[6] for row in found) == sorted(task_id[:8] for task_id in his)
    admin.get(f"/backtests/{hers}")
