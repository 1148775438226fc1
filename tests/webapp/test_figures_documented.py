"""The table of figures, the dashboard, the rules and /metrics name the same things, with the same labels."""

import json
import re
from pathlib import Path

import pytest
import yaml

from storage_core import backup_records, jobs
from storage_core.alerts import KINDS
from storage_core.db import session_scope, utc_now
from storage_core.telemetry import DATED_JOBS
from tests.services import running_valkey
from workers.queue import make_broker
from workers.run_counts import count_completed, count_failed

DOCS = Path(__file__).parents[2] / "docs"
ADDED = ("_bucket", "_count", "_sum")
LABELS_OF_ALL = {"job", "instance", "le"}


@pytest.fixture
def told(admin, app, engine):
    """Name of each figure -> the labels of its samples."""
    with running_valkey() as url:
        app.extensions["broker"] = broker = make_broker(url)
        count_completed(broker, "sma_cross", 1.0)
        count_failed(broker, "no_bars")
        with session_scope(engine) as session:
            jobs.create(session, kind="backup", args={})
            for kind in DATED_JOBS:
                backup_records.record(session, kind=kind, outcome={}, began=utc_now(), ended=utc_now())
        with admin.client.get("/healthz"):
            pass
        with admin.client.get("/metrics") as answer:
            text = answer.get_data(as_text=True)
        yield parsed(text)
        broker.close()


def parsed(text):
    found = {}
    for name, labels in re.findall(r"^(coin_hts_\w+)(?:\{(.*)\})? \S+$", text, flags=re.MULTILINE):
        found.setdefault(plain(name), set()).update(re.findall(r'(\w+)="', labels))
    return {name: labels - LABELS_OF_ALL for name, labels in found.items()}


def plain(name):
    for end in ADDED:
        if name.endswith(end) and not name.endswith("_total"):
            return name.removesuffix(end)
    return name


def used(expression):
    """(figure, labels that select it) of a PromQL expression, and the labels that group."""
    selected = re.findall(r"(coin_hts_\w+)(?:\{([^}]*)\})?", expression)
    figures = {}
    for name, inside in selected:
        figures.setdefault(plain(name), set()).update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside))
    grouped = {
        label.strip() for group in re.findall(r"(?:by|on) \(([^)]*)\)", expression) for label in group.split(",")
    }
    return figures, grouped


def dashboard():
    panels = json.loads((DOCS / "grafana" / "dashboard.json").read_text())["panels"]
    return [(target["expr"], target["legendFormat"]) for panel in panels for target in panel["targets"]]


def rules():
    groups = yaml.safe_load((DOCS / "grafana" / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_the_table_is_what_is_told(told):
    text = (DOCS / "observability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(coin_hts_\w+)` \| ([a-z, ]*)\|", text, flags=re.MULTILINE)
    assert {name: set(filter(None, labels.replace(" ", "").split(","))) for name, labels in rows} == told


def test_dashboard_and_rules_use_what_is_told_and_leave_nothing_out(told):
    seen = set()
    for expression in (*(expr for expr, _ in dashboard()), *(rule["expr"] for rule in rules())):
        figures, grouped = used(expression)
        assert figures, expression
        for name, labels in figures.items():
            assert name in told, expression
            assert labels <= told[name] | LABELS_OF_ALL, expression
        assert grouped <= set().union(*(told[name] for name in figures)) | LABELS_OF_ALL, expression
        seen |= set(figures)
    assert seen == set(told)


def test_legends_and_summaries_name_labels_that_are_left(told):
    for text, expression in (*((legend, expr) for expr, legend in dashboard()),
                             *((rule["annotations"]["summary"], rule["expr"]) for rule in rules())):  # fmt: skip
        named = set(re.findall(r"{{\s*(?:\$labels\.)?(\w+)\s*}}", text))
        figures, grouped = used(expression)
        left = grouped if grouped else set().union(*(told[name] for name in figures)) | {"instance", "job"}
        assert named <= left, (text, expression)


def test_expressions_are_whole():
    for expression in (*(expr for expr, _ in dashboard()), *(rule["expr"] for rule in rules())):
        for opening, closing in ("()", "{}", "[]"):
            assert expression.count(opening) == expression.count(closing), expression
        assert expression.count('"') % 2 == 0, expression


def test_each_rule_has_what_prometheus_wants():
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert re.fullmatch(r"CoinHts[A-Z]\w+", rule["alert"])
        assert re.fullmatch(r"\d+[smhd]", rule.get("for", "1m"))
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"].endswith((".", "}}"))


def test_the_dashboard_fits_its_grid():
    panels = json.loads((DOCS / "grafana" / "dashboard.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = set()
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not own & cells, panel["title"]
        cells |= own


def test_every_kind_of_alert_is_explained():
    text = (DOCS / "alerts.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE))
    assert documented == set(KINDS) - {"test"}


def test_the_tests_of_the_promises_exist():
    text = (DOCS / "alerts.md").read_text(encoding="utf-8")
    promised = re.findall(r"`(test_\w+\.py)::(test_\w+)`", text)
    assert len(promised) >= 7
    for file, name in promised:
        (path,) = (DOCS.parent / "tests").rglob(file)
        assert f"def {name}(" in path.read_text(encoding="utf-8"), name
