"""docs/security.md says what the code does: roles, kinds of addresses, headers."""

import re
from pathlib import Path

from storage_core import access, account_links, accounts, audit, login_guard
from tests.webapp.access_table import PEOPLE, TABLE
from webapp import sessions
from webapp.login import OPEN_ENDPOINTS
from webapp.security import HEADERS, STRICT_TRANSPORT

TEXT = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
WORDS = {303: "login", 403: "403", 404: "404"}
OPEN = {"accounts.login", "accounts.setup", "accounts.welcome", "log_in_again.form", "log_in_again.log_in",
        "log_in_again.look", "health.healthz", "health.readyz", "telemetry.metrics", "static"}  # fmt: skip


def rows(first: str) -> list[list[str]]:
    """The cells of the table whose header begins with `first`."""
    lines = TEXT.split(f"\n| {first} |")[1].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_roles():
    documented = {role: {what for what, may in zip(("look", "run", "administer"), cells, strict=True) if may == "yes"}
                  for role, *cells in rows("role")}  # fmt: skip
    assert documented == {role: set(may) for role, may in access.MAY.items()}


def test_kinds_of_addresses():
    documented = {kind: dict(zip(PEOPLE, cells, strict=True)) for kind, *cells in rows("kind")}
    assert set(documented) == {line.kind for line in TABLE.values()}
    for route, line in TABLE.items():
        for who, status in line.answers.items():
            said = documented[line.kind][who]
            if line.kind == "open" or route == "GET /metrics":
                continue
            if who == "anonymous":
                assert status in (303, 401), route
            elif said == "in":
                # What the page itself answers: a redirect to where it goes on, or what is wrong with an empty form.
                assert status not in (401, 403), (route, who)
            else:
                assert WORDS[status] == said, (route, who)


def test_nothing_else_is_open():
    assert OPEN_ENDPOINTS == OPEN


def test_headers():
    documented = {name.strip("`"): value for name, value in rows("header")}
    assert {name: value.strip("`") for name, value in documented.items() if name in HEADERS} == HEADERS
    assert documented["Strict-Transport-Security"].startswith(f"`{STRICT_TRANSPORT}`")
    assert len(documented) == len(HEADERS) + 1


def test_figures():
    assert login_guard.BY_ADDRESS[0][0] == 10
    for words in (
        f"{login_guard.BY_ADDRESS[0][0]} a minute and {login_guard.BY_ADDRESS[1][0]} an hour from one address",
        f"{login_guard.BY_NAME[0][0]} in {login_guard.BY_NAME[0][1].seconds // 60} minutes for one name",
        f"ends after {sessions.AT_REST.days} days without a request and after {sessions.IN_ALL.days} days",
        f"kept for {audit.KEPT_FOR.days} days",
    ):
        assert words in re.sub(r"\s+", " ", TEXT), words
    assert (account_links.LINK_SECONDS, accounts.SETUP_LINK_SECONDS) == (3 * 86400, 86400)
