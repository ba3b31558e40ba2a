"""Members of staff, each in a group as the migration makes it."""

from importlib import import_module

from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client

from audit.models import StaffAccess

GROUPS = ("viewer", "warehouse", "manager", "administrator")
PASSWORD = "correct horse battery"


def make_groups() -> None:
    """The groups, by the migrations themselves: a test that commits empties all tables in the end."""
    import_module("reservations.migrations.0006_staff_groups").make_groups(apps, connection.schema_editor())
    reasons = import_module("inventory.migrations.0009_who_keeps_reasons")
    reasons.let_managers_keep_reasons(apps, connection.schema_editor())


def make_staff(group: str = "", *warehouses: str, name: str = "", password: str | None = None) -> User:
    """A member of staff of this group (none: a superuser), who sees these warehouses alone (none: all).

    Only who logs in needs a password: hashing one takes long, by design.
    """
    name = name or f"{group or 'super'}-{User.objects.count()}"
    made = User.objects.create_user(name, password=password, is_staff=True, is_superuser=not group)
    if group:
        if not Group.objects.filter(name=group).exists():
            make_groups()
        made.groups.add(Group.objects.get(name=group))
    if warehouses:
        StaffAccess.objects.create(user=made, warehouse_codes=list(warehouses))
    return made


def browser_of(user: User) -> Client:
    """A browser in which this user is logged in."""
    browser = Client(headers={"Host": "localhost"})
    browser.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return browser
