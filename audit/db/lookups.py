"""Conditions and expressions that the ORM lacks."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db.models import BooleanField, F, Func, UUIDField, Value

from audit.db import columns


def among(field: str, ids: Iterable[UUID]) -> Any:
    """A condition for ``filter``: the value of a UUID field is one of these ids.

    Sends the ids as one array, so that the statement is the same for any number of them. With ``__in`` each id is a
    parameter of its own, which takes Django and psycopg four times as long for a thousand ids.
    """
    return Func(
        F(field),
        Value(columns.uuids(ids), ArrayField(UUIDField())),
        arg_joiner=" = ANY(",
        template="%(expressions)s)",
        output_field=BooleanField(),
    )


def evaluated_once(expression: Any) -> Any:
    """Wrap an expression that is the same for all rows, such as the time 90 days ago, in a subquery.

    PostgreSQL evaluates a subquery once, but arithmetic with ``Now()`` for each row, which doubles the time of a sum
    over a table. Don't use it in the WHERE clause: the planner can't estimate rows by the value of a subquery.
    """
    return Func(expression, template="(SELECT %(expressions)s)")
