"""After a test that commits, the database is as it was after the migrations."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import TransactionTestCase

from inventory.models import Movement, StockLevel
from tests.emptying import MADE_BY_MIGRATE
from tests.factories import make_level
from tests.staff import make_staff


def made_by_migrate() -> list[object]:
    found: list[object] = []
    with connection.cursor() as cursor:
        for table in MADE_BY_MIGRATE:
            cursor.execute(f"SELECT * FROM {table} ORDER BY id")
            found.append(cursor.fetchall())
    return found


@pytest.mark.django_db(transaction=True)
def test_rows_are_gone_and_what_migrate_made_is_back() -> None:
    before = made_by_migrate()
    make_level(5)
    make_staff("viewer").user_permissions.set(Permission.objects.all()[:3])
    Group.objects.get(name="viewer").permissions.clear()
    Group.objects.create(name="another")
    ContentType.objects.filter(model="movement").update(model="gone")
    assert made_by_migrate() != before
    TransactionTestCase()._fixture_teardown()  # type: ignore[attr-defined]
    assert made_by_migrate() == before
    assert [model for model in (User, StockLevel, Movement) if model._default_manager.exists()] == []
    TransactionTestCase()._fixture_teardown()  # type: ignore[attr-defined]
    assert made_by_migrate() == before
