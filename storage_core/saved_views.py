"""Saved views: a person's filters, order and columns of the list, under names of their own."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage_core.db import insert_into
from storage_core.errors import BadFilter
from storage_core.models import SavedView
from storage_core.names import checked_name

LONGEST_QUERY, MOST_VIEWS = 4_000, 100


def listed(session: Session, owner_id: int) -> Sequence[SavedView]:
    """The views of one person, by name."""
    return session.scalars(
        select(SavedView).where(SavedView.owner_id == owner_id).order_by(func.lower(SavedView.name), SavedView.id)
    ).all()


def save(session: Session, owner_id: int, *, name: str, query: str) -> SavedView:
    """Keep `query` under `name`; a view of that name is replaced. Raises BadName and BadFilter. Does not commit."""
    name = checked_name(name)
    if len(query) > LONGEST_QUERY:
        raise BadFilter("query", f"{len(query)} characters long", f"at most {LONGEST_QUERY}")
    names = {view.name for view in listed(session, owner_id)}
    if name not in names and len(names) >= MOST_VIEWS:
        raise BadFilter("name", f"the {len(names) + 1}th view", f"at most {MOST_VIEWS} views; delete one first")
    kept = insert_into(session, SavedView).values(owner_id=owner_id, name=name, query=query)
    session.execute(kept.on_conflict_do_update(index_elements=["owner_id", "name"], set_={"query": query}))
    mine = select(SavedView).where(SavedView.owner_id == owner_id, SavedView.name == name)
    return session.scalars(mine, execution_options={"populate_existing": True}).one()


def rename(session: Session, owner_id: int, view_id: int, name: str) -> bool:
    """Give a view another name; False when there is no such view. Raises BadName and BadFilter. Does not commit."""
    name = checked_name(name)
    mine = (SavedView.id == view_id, SavedView.owner_id == owner_id)
    renamed = update(SavedView).where(*mine).values(name=name).returning(SavedView.id)
    try:
        return session.scalar(renamed, execution_options={"synchronize_session": False}) is not None
    except IntegrityError as error:
        raise BadFilter("name", name, "a name that no other view of yours has") from error


def remove(session: Session, owner_id: int, view_id: int) -> bool:
    """Forget a view; False when there is none. Does not commit."""
    statement = (
        delete(SavedView)
        .where(SavedView.id == view_id, SavedView.owner_id == owner_id)
        .returning(SavedView.id)
        .execution_options(synchronize_session=False)
    )
    return session.execute(statement).one_or_none() is not None
