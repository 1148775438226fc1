"""Values that SQLite looks up in no index."""

from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.sql.operators import custom_op


def unindexed(value: Any) -> ColumnElement[Any]:
    """The same value behind SQLite's unary plus: what is written so makes no index be used."""
    return UnaryExpression(value.self_group(), operator=custom_op("+"), type_=value.type)
