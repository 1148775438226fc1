"""Imported legacy results lack much of what ours have; every page and chart answers all the same."""

import pytest
from sqlalchemy import select

from storage_core.db import session_scope
from storage_core.models import Backtest
from tests.storage_core import legacy


@pytest.fixture
def imported(engine, settings, tmp_path):
    report = legacy.run(settings, legacy.a_copy(tmp_path / "legacy"))
    assert report.failed == 0
    with session_scope(engine) as session:
        return list(session.scalars(select(Backtest).where(Backtest.source == "legacy")))


def test_every_page_and_chart_of_every_result_answers(imported, admin):
    assert len(imported) > 5
    for backtest in imported:
        parts = ("", "/chart", "/trades", "/analysis", "/setup") if backtest.status == "completed" else ("",)
        for part in parts:
            assert admin.get(f"/backtests/{backtest.task_id}{part}").text
        assert admin.get(f"/backtests/new?clone={backtest.task_id}").text
        if backtest.status == "completed":
            for file in ("report.html", "trades.csv", "data-changed"):
                assert admin.client.get(f"/backtests/{backtest.task_id}/{file}").status_code == 200, file
            for form in ("html", "legacy", "parquet-zip"):
                export = f"/api/v1/backtests/{backtest.task_id}/export?format={form}"
                assert admin.client.get(export).status_code == 200, form
            times = admin.json(f"/charts/{backtest.task_id}/equity.json").get_json()["t"]
            assert times == sorted(set(times))
    assert admin.get("/backtests").text


def test_what_the_legacy_system_did_not_note_is_said(imported, admin):
    done = next(backtest for backtest in imported if backtest.status == "completed")
    page = admin.get(f"/backtests/{done.task_id}").text
    assert "the legacy system" in page
    assert "cash not recorded" in page
