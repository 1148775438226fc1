"""Who gets what at every address of the pages: THE table. docs/security.md explains its kinds; a test compares the two.

A new route needs one line here: `"METHOD rule": kind`, with the rule as Flask's `url_map` spells it. Kinds:

- `open_to_all(200)`: no login needed (then also add the endpoint to `webapp.login.OPEN_ENDPOINTS`);
- `people(200)`: everybody who is logged in;
- `traders(303)`: not viewers;
- `admins(200)`: admins only;
- `seen("completed")`: about one thing, for its owner and admins; a stranger is told that there is none (404);
- `changed("queued", 303)`: changes one thing; its owner, unless a viewer, and admins.

The number is what people get who may. `form=` and `query=` are what is sent; `{id}` in them becomes the thing's number.
Things are made by `Things` in test_route_access.py: completed, queued, deleted, token, view, schedule, user, ...
The addresses of the API are in the table of test_api_access.py, in the same words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

PEOPLE: Final = ("anonymous", "stranger", "viewer", "owner", "admin")
TO_LOGIN, FORBIDDEN, UNKNOWN = 303, 403, 404


@dataclass(frozen=True)
class Line:
    """What each gets, of what the address is, and what is sent. A viewer owns what the address names."""

    kind: str
    answers: Mapping[str, int]
    of: str = ""
    form: Mapping[str, str] = field(default_factory=dict)
    query: str = ""


def open_to_all(good: int, *, logged_in: int | None = None, **more: object) -> Line:
    return _line("open", [good, *([logged_in or good] * 4)], **more)


def people(good: int, **more: object) -> Line:
    return _line("people", [TO_LOGIN, good, good, good, good], **more)


def traders(good: int, **more: object) -> Line:
    return _line("traders", [TO_LOGIN, good, FORBIDDEN, good, good], **more)


def admins(good: int, **more: object) -> Line:
    return _line("admins", [TO_LOGIN, FORBIDDEN, FORBIDDEN, FORBIDDEN, good], **more)


def seen(of: str, good: int = 200, **more: object) -> Line:
    return _line("seen", [TO_LOGIN, UNKNOWN, good, good, good], of=of, **more)


def changed(of: str, good: int, **more: object) -> Line:
    return _line("changed", [TO_LOGIN, UNKNOWN, FORBIDDEN, good, good], of=of, **more)


def own(of: str, good: int, **more: object) -> Line:
    """A thing that not even an admin sees of others, such as a token. A viewer may have one."""
    return _line("own", [TO_LOGIN, UNKNOWN, good, good, UNKNOWN], of=of, **more)


def _line(kind: str, answers: list[int], **more: object) -> Line:
    return Line(kind, dict(zip(PEOPLE, answers, strict=True)), **more)  # type: ignore[arg-type]


def data(line: Line) -> Line:
    """The same for an address of chart data: a program is told 401, not sent to the login."""
    return Line(line.kind, {**line.answers, "anonymous": 401}, line.of, line.form, line.query)


TABLE: Final[Mapping[str, Line]] = {
    "GET /": people(200),
    "GET /home/state": people(200),
    "GET /home/stored": people(200),
    "GET /healthz": open_to_all(200),
    "GET /readyz": open_to_all(503),
    "GET /metrics": Line("admins", {**dict.fromkeys(PEOPLE, 401), "admin": 200}),
    "GET /static/<path:filename>": open_to_all(200),
    # Accounts
    "GET /login": open_to_all(200, logged_in=303),
    "POST /login": open_to_all(422, logged_in=303),
    "GET /login/again": open_to_all(200, logged_in=204),
    "GET /login/again/look": open_to_all(204),
    "POST /login/again": open_to_all(422, logged_in=204),
    "POST /logout": people(303),
    "GET /setup": open_to_all(303),
    "POST /setup": open_to_all(303),
    "GET /welcome": open_to_all(403),
    "POST /welcome": open_to_all(403),
    "GET /account": people(200),
    "POST /account/password": people(422),
    "POST /account/preferences": people(303, form={"timezone": "UTC", "theme": "auto", "language": ""}),
    "POST /account/sessions/end": people(303),
    "POST /account/tokens": people(200, form={"name": "x", "scope": "read", "days": "1"}),
    "POST /account/tokens/<int:token_id>/revoke": own("token", 303),
    "GET /users": admins(200),
    "POST /users": admins(422),
    "POST /users/<int:user_id>/deactivate": admins(303, of="user"),
    "POST /users/<int:user_id>/link": admins(200, of="user"),
    "POST /users/<int:user_id>/reactivate": admins(303, of="user"),
    "POST /users/<int:user_id>/role": admins(303, of="user", form={"role": "viewer"}),
    # Backtests
    "GET /backtests": people(200),
    "POST /backtests": traders(422),
    "POST /backtests/check": traders(200),
    "GET /backtests/export.csv": people(200),
    "GET /backtests/new": traders(200),
    "GET /backtests/new/<part>": people(200),
    "GET /backtests/queue": people(200),
    "POST /backtests/selected": traders(303, form={"do": "pin"}),
    "POST /backtests/undo": traders(303, form={"at": "1"}),
    "POST /backtests/views": people(422),
    "POST /backtests/views/<int:view_id>/delete": own("view", 303),
    "POST /backtests/views/<int:view_id>/rename": own("view", 303, form={"name": "renamed"}),
    "GET /compare": people(200),
    "GET /backtests/<uuid:task_id>": seen("completed"),
    "GET /backtests/<uuid:task_id>/analysis": seen("completed"),
    "GET /backtests/<uuid:task_id>/chart": seen("completed"),
    "GET /backtests/<uuid:task_id>/row": seen("completed"),
    "GET /backtests/<uuid:task_id>/setup": seen("completed"),
    "GET /backtests/<uuid:task_id>/status": seen("completed"),
    "GET /backtests/<uuid:task_id>/trades": seen("completed"),
    "GET /backtests/<uuid:task_id>/verification": seen("completed"),
    "GET /backtests/<uuid:task_id>/data-changed": seen("completed"),
    "GET /backtests/<uuid:task_id>/note": seen("completed"),
    "GET /backtests/<uuid:task_id>/report.html": seen("completed"),
    "POST /backtests/<uuid:task_id>/delete": changed("completed", 303),
    "POST /backtests/<uuid:task_id>/note": changed("completed", 303),
    "POST /backtests/<uuid:task_id>/pin": changed("completed", 303),
    "POST /backtests/<uuid:task_id>/restore": changed("deleted", 303),
    "POST /backtests/<uuid:task_id>/share": changed("completed", 303),
    "POST /backtests/<uuid:task_id>/symbols": changed("completed", 400),
    "POST /backtests/<uuid:task_id>/verification": changed("completed", 303),
    "POST /backtests/<uuid:task_id>/cancel": changed("queued", 303),
    "GET /charts/<uuid:task_id>/candles.json": data(seen("completed")),
    "GET /charts/<uuid:task_id>/equity.json": data(seen("completed")),
    "GET /charts/compare.json": data(seen("completed", query="ids={id},{id}")),
    "GET /backtests/<uuid:task_id>/trades.csv": seen("completed"),
    "GET /charts/<uuid:task_id>/trade.json": data(seen("completed", query="after=0")),
    # Data; what is sent belongs to its sender alone
    "GET /data": people(200),
    "GET /data/jobs": people(200),
    "GET /data/<symbol>/<timeframe>": people(200, of="completed"),
    "GET /charts/bars/<symbol>/<timeframe>.json": data(people(200, of="completed")),
    "POST /data/<symbol>/<timeframe>/delete": admins(303, of="completed"),
    "POST /data/fetch": traders(422),
    "POST /data/jobs/<uuid:job_id>/cancel": traders(404),
    "POST /data/uploads": traders(303),
    "GET /data/uploads/<uuid:upload_id>": traders(404),
    "POST /data/uploads/<uuid:upload_id>/discard": traders(404),
    "POST /data/uploads/<uuid:upload_id>/save": traders(404),
    # The form
    "GET /strategies": people(200),
    "GET /strategies/<name>/fields": people(200),
    "GET /strategies/<name>/source": people(200),
    "GET /strategies/fields": people(200, query="strategy=sma_cross"),
    "POST /presets": traders(422),
    "POST /presets/delete": traders(404),
    "GET /presets/load": traders(404),
    # Schedules
    "GET /schedules": people(200),
    "POST /schedules": traders(404),
    "GET /schedules/new": traders(404),
    "GET /schedules/<int:schedule_id>": seen("schedule"),
    "POST /schedules/<int:schedule_id>/active": changed("schedule", 303),
    "POST /schedules/<int:schedule_id>/delete": changed("schedule", 303),
    # Operations
    "GET /operations": traders(200),
    "GET /operations/queue": traders(200),
    "GET /operations/alerts": traders(200),
    "GET /operations/alerts/list": traders(200),
    "POST /operations/alerts/test": admins(409),
    "GET /operations/alerts/test/<int:alert_id>": traders(404),
    "GET /operations/storage": traders(200),
    "GET /operations/storage/cleanups": traders(200),
    "POST /operations/storage/preview": admins(422),
    "POST /operations/storage/cleanups/<uuid:job_id>/delete": admins(404),
    "POST /operations/storage/cleanups/<uuid:job_id>/undo": admins(404),
    "GET /operations/backups": traders(200),
    "GET /operations/backups/<backup>": traders(404),
    "GET /operations/backups/jobs": traders(200),
    "POST /operations/backups/jobs": admins(400),
    "POST /operations/backups/jobs/<uuid:job_id>/cancel": admins(404),
    "GET /operations/audit": admins(200),
    "GET /operations/dead-letters/<uuid:task_id>": admins(503),
    "POST /operations/dead-letters/<uuid:task_id>/retry": traders(303),
    "POST /operations/dead-letters/retry": traders(303),
    "POST /operations/dead-letters/<uuid:task_id>/discard": admins(303),
    "POST /operations/dead-letters/discard": admins(303),
    "GET /api/docs": people(200),
}
