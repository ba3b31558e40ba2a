"""Members of staff, each in a group as ``migrate`` makes it."""

from typing import Any

from django.contrib.auth.models import Group, User
from django.test import Client
from uuid_utils.compat import uuid7

from audit.models import StaffAccess

GROUPS = ("viewer", "warehouse", "manager", "administrator", "auditor")
PASSWORD = "correct horse battery"


def make_staff(group: str = "", *warehouses: str, name: str = "", password: str | None = None) -> User:
    """Make a member of staff in this group (a superuser without one), limited to these warehouses, or of all.

    Pass a password only for tests that log in: hashing takes long, by design.
    """
    name = name or f"{group or 'super'}-{User.objects.count()}"
    made = User.objects.create_user(name, password=password, is_staff=True, is_superuser=not group)
    if group:
        made.groups.add(Group.objects.get(name=group))
    StaffAccess.objects.create(user=made, all_warehouses=not warehouses, warehouse_codes=list(warehouses))
    return made


def browser_of(user: User) -> Client:
    """A browser in which this user is logged in."""
    browser = Client(headers={"Host": "localhost"})
    browser.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return browser


def post(browser: Client, url: str, **fields: Any) -> Any:
    """Send a dialog's form once, and follow to the page that it leads to."""
    return browser.post(url, {"once": str(uuid7()), **fields}, follow=True)
