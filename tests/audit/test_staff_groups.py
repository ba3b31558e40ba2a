"""`migrate` gives each group of staff exactly the permissions of the table."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db.migrations.state import StateApps

from audit.permissions import sync_groups
from audit.roles import STAFF_GROUPS

pytestmark = pytest.mark.django_db


def permissions_of(name: str) -> set[str]:
    labels = Group.objects.get(name=name).permissions.values_list("content_type__app_label", "codename")
    return {f"{label}.{codename}" for label, codename in labels}


def permission(name: str) -> Permission:
    label, codename = name.split(".")
    return Permission.objects.get(content_type__app_label=label, codename=codename)


def assert_as_in_the_table() -> None:
    assert {group.name: permissions_of(group.name) for group in STAFF_GROUPS} == {
        group.name: group.permissions for group in STAFF_GROUPS
    }


def test_groups_are_there_and_every_permission_of_the_table_exists() -> None:
    assert_as_in_the_table()


def test_sync_adds_what_is_missing_and_takes_away_what_is_too_much() -> None:
    viewer, manager = Group.objects.get(name="viewer"), Group.objects.get(name="manager")
    viewer.permissions.add(permission("auth.add_user"))
    manager.permissions.remove(permission("inventory.post_count"))
    Group.objects.get(name="auditor").delete()
    sync_groups()
    assert_as_in_the_table()


def test_sync_leaves_other_groups_and_the_members_alone(django_user_model: Any) -> None:
    night = Group.objects.create(name="night shift")
    night.permissions.add(permission("inventory.count_stock"))
    clerk = django_user_model.objects.create_user("carl")
    clerk.groups.add(Group.objects.get(name="warehouse"), night)
    before = set(Group.objects.values_list("pk", "name"))
    sync_groups()
    sync_groups()
    assert permissions_of("night shift") == {"inventory.count_stock"}
    assert {group.name for group in clerk.groups.all()} == {"warehouse", "night shift"}
    assert set(Group.objects.values_list("pk", "name")) == before


def test_migrate_syncs_after_the_permissions_of_all_apps_are_made() -> None:
    Permission.objects.all().delete()
    Group.objects.all().delete()
    call_command("migrate", verbosity=0, interactive=False)
    assert_as_in_the_table()


def test_sync_waits_for_tables_and_permissions_that_are_not_made_yet() -> None:
    sync_groups(apps=StateApps([], {}))
    permission("inventory.view_movement").delete()
    sync_groups()
    assert permissions_of("viewer") == STAFF_GROUPS[0].permissions - {"inventory.view_movement"}


def test_auditor_reads_everything_and_may_do_nothing_else() -> None:
    labels = ("audit", "inventory", "reservations")
    models = [model for label in labels for model in apps.get_app_config(label).get_models()]
    shown = [model for model in models if "view" in model._meta.default_permissions]
    reads = {f"{model._meta.app_label}.view_{model._meta.model_name}" for model in shown}
    may = permissions_of("auditor")
    assert may - {"inventory.export_stock"} == reads | {"auth.view_user", "auth.view_group"}
