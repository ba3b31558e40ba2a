"""Permissions of staff: the groups of ``audit.roles`` and what they may do, in the database."""

from collections.abc import Collection, Mapping
from typing import Any

from django.apps import apps as current_apps
from django.contrib.auth.management import create_permissions
from django.db import DEFAULT_DB_ALIAS, transaction

from audit.roles import STAFF_GROUPS


def sync_groups(apps: Any = current_apps, using: str = DEFAULT_DB_ALIAS, **_signal: Any) -> None:
    """Give each group of ``STAFF_GROUPS`` exactly its permissions; creates missing groups.

    Runs at the end of each ``migrate``. Other groups are left alone. A permission that does not exist is left out: a
    ``migrate`` of some apps alone may end before its model is created.
    """
    try:
        group_model, permission_model = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    except LookupError:
        return
    names = permission_model.objects.using(using).values_list("content_type__app_label", "codename", "pk")
    known = {f"{label}.{codename}": key for label, codename, key in names}
    with transaction.atomic(using):
        for entry in STAFF_GROUPS:
            group, _ = group_model.objects.using(using).get_or_create(name=entry.name)
            group.permissions.set([known[name] for name in entry.permissions & known.keys()])


def grant(apps: Any, permissions: Mapping[str, Collection[str]]) -> None:
    """Give groups permissions with names such as ``inventory.receive_stock``, in a migration; creates missing groups.

    Django creates permissions after all migrations have run, too late for a migration that grants them: they are
    created here first. ``apps`` is the argument of the migration, which must depend on the migrations of ``auth`` and
    of the apps whose permissions it names. Raises LookupError for an unknown permission.
    """
    labels = {name.partition(".")[0] for names in permissions.values() for name in names}
    for label in sorted(labels):
        create_permissions(current_apps.get_app_config(label), apps=apps, verbosity=0)
    group_model, permission_model = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    known = {
        f"{row.content_type.app_label}.{row.codename}": row
        for row in permission_model.objects.select_related("content_type").filter(content_type__app_label__in=labels)
    }
    for group_name, names in permissions.items():
        if unknown := sorted(set(names) - known.keys()):
            raise LookupError(f"There is no permission {', '.join(unknown)}.")
        group, _ = group_model.objects.get_or_create(name=group_name)
        group.permissions.add(*(known[name] for name in names))
