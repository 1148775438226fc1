"""The description agrees with the routes and the models; the page shows all of it."""

import re
import warnings

import pytest

from engine.spec import SPEC_FIELDS
from webapp.api.description import operations
from webapp.problems import KINDS


@pytest.fixture
def document(trader):
    return trader.json("/api/v1/openapi.json").json


def test_it_is_valid_openapi_3_1(document):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from openapi_spec_validator import OpenAPIV31SpecValidator
    assert document["openapi"] == "3.1.0"
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_it_has_every_route_and_no_other(app, document):
    routes = {
        (re.sub(r"<\w+:(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/") and rule.endpoint != "api.openapi"
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert {(path, method) for path, method, _ in operations(document)} == routes


def test_the_spec_has_every_field_of_the_engine_with_its_limits(document):
    schema = document["components"]["schemas"]["BacktestRequest"]
    named = set(schema["properties"]) | {
        f"{group}.{name}" for group, part in schema["properties"].items() for name in part.get("properties", {})
    }
    assert set(SPEC_FIELDS) <= named
    assert schema["properties"]["costs"]["properties"]["fee_rate"]["maximum"] == 0.1
    assert schema["properties"]["candle_size"]["type"] == ["integer", "null"]


def test_every_operation_says_who_may_and_what_can_go_wrong(document):
    for path, method, operation in operations(document):
        where = f"{method} {path}"
        assert operation["security"] == [{"token": []}, {"session": []}], where
        assert {"401", "403", "429"} <= set(operation["responses"]), where
        assert operation["summary"], where
        for status, answer in operation["responses"].items():
            assert answer["description"], (where, status)
            kinds = set(answer["content"])
            assert (kinds == {"application/problem+json"}) == (int(status) >= 400), (where, status)
        assert ("404" in operation["responses"]) == ("{" in path), where


def test_the_page_shows_every_operation_and_every_code(trader, document):
    page = trader.get("/api/docs")
    for path, _, operation in operations(document):
        entry = page.by_id(operation["operationId"])
        assert path in "".join(entry.itertext())
        assert "curl" in "".join(entry.itertext())
    for code in KINDS:
        assert code in "".join(page.by_id(code).itertext())
    assert "//" not in "".join(element.get("src") or "" for element in page.find("script"))


def test_a_visitor_is_sent_to_the_login(visitor):
    answer = visitor.client.get("/api/docs")
    assert (answer.status_code, answer.location) == (303, "/login?next=/api/docs")


def test_the_type_of_a_problem_leads_to_its_place_on_the_page(trader):
    problem = trader.json("/api/v1/nowhere").json
    address, _, place = problem["type"].partition("#")
    assert trader.get(address).by_id(place) is not None
