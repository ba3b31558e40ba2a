"""Conditions and expressions that the ORM lacks."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db.models import BooleanField, F, Func, UUIDField, Value

from audit.db import columns


def among(field: str, ids: Iterable[UUID]) -> Any:
    """The condition that a field of UUIDs has one of these, for ``filter``.

    It sends them as one array, so that the statement is the same for any number. With ``__in`` each id is a parameter
    of its own: with a thousand, Django and psycopg take four times as long.
    """
    return Func(
        F(field),
        Value(columns.uuids(ids), ArrayField(UUIDField())),
        arg_joiner=" = ANY(",
        template="%(expressions)s)",
        output_field=BooleanField(),
    )


def evaluated_once(expression: Any) -> Any:
    """An expression that is the same for all rows, such as a time before now, as a subquery.

    PostgreSQL evaluates arithmetic with ``Now()`` for each row, which takes as long as all else in a sum over a table.
    Not for the condition of a query: of a subquery's value, the planner knows nothing.
    """
    return Func(expression, template="(SELECT %(expressions)s)")
