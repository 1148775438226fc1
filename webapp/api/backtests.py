"""Find, follow, cancel, verify, annotate and delete backtests."""

from __future__ import annotations

from flask import Response, abort, request, url_for

from storage_core import backtest_keeping, backtests
from storage_core.errors import BacktestNotFound, BadFilter, NotCancellable, NotDeletable, NotRestorable, NotVerifiable
from storage_core.models import Backtest
from storage_core.verification import create_verification
from webapp.api.answers import BacktestList, Deleted, Detail, Status, Submitted, Summary
from webapp.api.blueprint import BACKTESTS, answers, blueprint, to_json
from webapp.api.repeating import repeatable, reserved_id
from webapp.api.requests import BacktestPath, Changes, ListQuery, Nothing
from webapp.api.submit import accepted
from webapp.audit import audit
from webapp.extensions import bar_store, db, settings
from webapp.login import need_trader, person
from webapp.lookup import visible_backtest
from webapp.problems import problem
from webapp.submission import enter_once


@blueprint.get("/backtests", tags=[BACKTESTS], responses=answers({200: BacktestList}, 400, 422))
def list_backtests(query: ListQuery) -> Response:
    """Find backtests.

    A page at a time, the newest first unless `sort` says otherwise. Follow `Link: rel="next"`, or send `older` as
    `after`; a cursor is good only with the `sort` it was made for.
    """
    found = backtests.list_page(
        db.session(),
        owner_id=person().sees_owner,
        after=query.after,
        before=query.before,
        size=query.size,
        filters=query.filters(),
        sort=query.sort,
    )
    rows = [Summary.model_validate(row) for row in found.rows]
    links = {"next": {"after": found.older}, "prev": {"before": found.newer}}
    answer = BacktestList(backtests=rows, newer=found.newer, older=found.older)
    return to_json(answer, headers=link_header(links))


@blueprint.get("/backtests/<uuid:task_id>", tags=[BACKTESTS], responses=answers({200: Detail}, 404, 422))
def get_backtest(path: BacktestPath, query: Nothing) -> Response:
    """Read a backtest with its spec and everything that was measured."""
    return to_json(Detail.of(visible_backtest(path.task_id)))


@blueprint.get("/backtests/async/<uuid:task_id>/status", tags=[BACKTESTS], responses=answers({200: Status}, 404, 422))
def backtest_status(path: BacktestPath, query: Nothing) -> Response:
    """Ask how far a backtest is."""
    return to_json(Status.model_validate(visible_backtest(path.task_id)))


@blueprint.post("/backtests/<uuid:task_id>/cancel", tags=[BACKTESTS], responses=answers({202: Status}, 404, 409, 422))
@repeatable
def cancel_backtest(path: BacktestPath, query: Nothing) -> Response:
    """Stop a backtest.

    At once while it waits, within moments while it runs; 409 when it has ended.
    """
    need_trader()
    if not person().may_stop(visible_backtest(path.task_id)):
        abort(403, "Only its owner, or an admin, may stop this backtest.")
    try:
        row = backtests.cancel(db.session(), path.task_id, by=person().name)
    except NotCancellable as error:
        db.session.rollback()
        return problem("not_cancellable", f"{error}")
    db.session.commit()
    return to_json(Status.model_validate(row), 202)


@blueprint.post(
    "/backtests/<uuid:task_id>/verify", tags=[BACKTESTS], responses=answers({202: Submitted}, 404, 409, 422)
)
@repeatable
def verify_backtest(path: BacktestPath, query: Nothing) -> Response:
    """Run a backtest again and compare, bit for bit.

    Queues a new backtest of the same spec; when it has completed, `metadata.verification` of the new one says what
    was found.
    """
    need_trader()
    original, new_id, by = visible_backtest(path.task_id).task_id, reserved_id(), person()
    try:
        made = enter_once(
            new_id,
            lambda: create_verification(db.session(), original, owner_id=by.id, by=by.name, new_id=new_id),
        )
    except NotVerifiable as error:
        db.session.rollback()
        return problem("not_verifiable", f"{error}")
    return accepted(made)


@blueprint.patch(
    "/backtests/<uuid:task_id>", tags=[BACKTESTS], responses=answers({200: Detail}, 400, 404, 409, 413, 415, 422)
)
def change_backtest(path: BacktestPath, query: Nothing, body: Changes) -> Response:
    """Note, tag, pin or share a backtest, or switch some of its symbols off."""
    need_trader()
    backtest = visible_backtest(path.task_id)
    _own(backtest)
    given = {name: getattr(body, name) for name in body.model_fields_set}
    shared, symbols = given.pop("shared", None), given.pop("symbols", None)
    if symbols is not None and (refused := _unswitchable(backtest, symbols)) is not None:
        return refused
    try:
        if symbols is not None:
            _switch(backtest, symbols)
        row = backtest_keeping.annotate(db.session(), path.task_id, **given)
        if shared is not None and shared != row.shared:
            backtest_keeping.share(db.session(), path.task_id, shared=shared)
            audit("backtest.shared" if shared else "backtest.unshared", path.task_id)
    except BadFilter as error:
        db.session.rollback()
        return _bad_field(error)
    db.session.commit()
    return to_json(Detail.of(row))


def _unswitchable(backtest: Backtest, symbols: dict[str, bool]) -> Response | None:
    """Why symbols of this backtest cannot be switched so, if they cannot."""
    from webapp.symbol_figures import can_choose

    if backtest.status != "completed":
        return problem("not_completed", f"The backtest is {backtest.status}: it has no result.", was=backtest.status)
    allowed = ", ".join(backtest.symbols)
    if unknown := sorted(symbols.keys() - set(backtest.symbols)):
        return _bad_field(BadFilter("symbols", ", ".join(unknown), f"some of {allowed}"))
    if not can_choose(backtest):
        return _bad_field(BadFilter("symbols", allowed, "only a result of several symbols, run by this product"))
    return None


def _switch(backtest: Backtest, symbols: dict[str, bool]) -> None:
    from webapp.symbol_figures import switch

    switch(db.session(), backtest, symbols, settings=settings(), store=bar_store())


def _bad_field(error: BadFilter) -> Response:
    one = {"field": error.field, "message": f"{error}", "allowed": error.allowed}
    return problem("invalid_request", f"{error}", errors=[one])


@blueprint.delete("/backtests/<uuid:task_id>", tags=[BACKTESTS], responses=answers({200: Deleted}, 404, 409, 422))
def delete_backtest(path: BacktestPath, query: Nothing) -> Response:
    """Delete a backtest; for a week it can be restored."""
    need_trader()
    _own(visible_backtest(path.task_id))
    try:
        backtest_keeping.delete(db.session(), path.task_id, by=person().name)
    except NotDeletable as error:
        db.session.rollback()
        return problem("not_deletable", f"{error}")
    audit("backtest.deleted", path.task_id)
    db.session.commit()
    gone = backtests.get(db.session(), path.task_id).deleted_at
    if gone is None:
        raise BacktestNotFound(path.task_id)
    answer = Deleted(
        task_id=path.task_id,
        deleted_at=gone,
        restore_url=url_for("api.restore_backtest", task_id=path.task_id),
        restore_until=gone + backtest_keeping.UNDO_FOR,
    )
    return to_json(answer)


@blueprint.post("/backtests/<uuid:task_id>/restore", tags=[BACKTESTS], responses=answers({200: Detail}, 404, 409, 422))
@repeatable
def restore_backtest(path: BacktestPath, query: Nothing) -> Response:
    """Take a deletion back; again is harmless."""
    need_trader()
    row = backtests.get(db.session(), path.task_id)
    if not person().sees(row):
        raise BacktestNotFound(path.task_id)
    _own(row)
    try:
        backtest_keeping.restore(db.session(), path.task_id, by=person().name)
    except NotRestorable as error:
        db.session.rollback()
        return problem("not_restorable", f"{error}")
    audit("backtest.restored", path.task_id)
    db.session.commit()
    return to_json(Detail.of(backtests.get(db.session(), path.task_id)))


def link_header(links: dict[str, dict[str, object]]) -> dict[str, str]:
    """RFC 8288: this address with another page's parameters; pages that are not there are left out."""
    parts = []
    for name, changes in links.items():
        if None in changes.values():
            continue
        kept = [(key, value) for key, value in request.args.items(multi=True) if key not in ("after", "before")]
        address = url_for(str(request.endpoint), **(request.view_args or {}), **_grouped(kept), **changes)
        parts.append(f'<{address}>; rel="{name}"')
    return {"Link": ", ".join(parts)} if parts else {}


def _grouped(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped


def _own(backtest: Backtest) -> None:
    if not person().owns(backtest):
        abort(403, "Only its owner, or an admin, may change this backtest.")
