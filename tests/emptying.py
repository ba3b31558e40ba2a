"""Tables are emptied after each test that commits.

Django's ``flush`` empties every table, full or not, and makes all content types, permissions and groups anew, which
takes most of the time of a short test. Here only tables with rows are emptied, and what ``migrate`` made is put back
only where a test changed it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.test import TransactionTestCase

MADE_BY_MIGRATE: Final = tuple(
    model._meta.db_table for model in (ContentType, Permission, Group, Group.permissions.through)
)
"""Tables whose rows ``migrate`` makes at its end, each after those it refers to."""
_MADE: Final = ", ".join(f"(SELECT json_agg(r ORDER BY r.id)::text FROM {table} r)" for table in MADE_BY_MIGRATE)
# By the sizes of files: querying each table for a row takes longer than emptying one that was filled and rolled back.
_LOOK: Final = f"""
SELECT (SELECT array_agg(relname::text) FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> ALL(%s)
        AND pg_relation_size(oid) > 0), {_MADE}"""


@contextmanager
def quick_emptying() -> Iterator[None]:
    """Empty tables the quick way. Begins when the database has been migrated and nothing was changed yet."""
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, [[*MADE_BY_MIGRATE, "django_migrations"]])
        _, *made = cursor.fetchone()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _case: _empty(tuple(made)))
        yield


def _empty(made: tuple[str, ...]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_LOOK, [[*MADE_BY_MIGRATE, "django_migrations"]])
        full, *present = cursor.fetchone()
        changed = tuple(present) != made
        if full or changed:
            cursor.execute(f"TRUNCATE {', '.join([*(full or ()), *(MADE_BY_MIGRATE if changed else ())])} CASCADE")
        for table, rows in zip(MADE_BY_MIGRATE, made, strict=True) if changed else ():
            cursor.execute(f"INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, %s)", [rows])
    if changed:
        ContentType.objects.clear_cache()
