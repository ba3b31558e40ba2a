"""Create the groups of staff, each with only the permissions that it needs."""

from django.db import migrations

from audit.permissions import grant

_SEEN = {
    "inventory": (
        "product",
        "warehouse",
        "store",
        "storewarehouse",
        "stocklevel",
        "movement",
        "transfer",
        "transferline",
        "stockcount",
        "stockcountline",
        "lowstockalert",
    ),
    "reservations": ("reservation", "reservationitem", "shortageincident", "brokenhold"),
}
VIEWER = [f"{app}.view_{model}" for app, models in _SEEN.items() for model in models]
WAREHOUSE = [
    *VIEWER,
    *(f"inventory.{verb}_stock" for verb in ("receive", "adjust", "ship", "transfer", "count")),
    "inventory.settle_alerts",
]
MANAGER = [
    *WAREHOUSE,
    *(f"inventory.{verb}_{model}" for verb in ("add", "change") for model in ("product", "warehouse", "store")),
    *(f"inventory.{verb}_storewarehouse" for verb in ("add", "change", "delete")),
    "inventory.change_stocklevel",
    "inventory.post_count",
    "inventory.freeze_stock",
    "inventory.export_stock",
    "inventory.view_reconciliationrun",
    "inventory.view_reconciliationfinding",
    *(f"reservations.{verb}_reservation" for verb in ("release", "extend", "consume")),
    "reservations.settle_incident",
    "audit.view_auditentry",
]
ADMINISTRATOR = [
    *MANAGER,
    "inventory.repair_stock",
    "inventory.view_archivedfile",
    *(f"audit.{verb}_{model}" for verb in ("view", "add", "change") for model in ("apiclient", "apitoken")),
    "audit.view_idempotencykey",
    "audit.view_outboxevent",
    *(f"audit.{verb}_staffaccess" for verb in ("view", "change")),
    *(f"auth.{verb}_user" for verb in ("view", "add", "change")),
    "auth.view_group",
]


def make_groups(apps, schema_editor):
    """Create missing groups and add missing permissions; permissions that staff added are kept."""
    grant(apps, {"viewer": VIEWER, "warehouse": WAREHOUSE, "manager": MANAGER, "administrator": ADMINISTRATOR})


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0003_staff_access"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("inventory", "0007_staff_permissions"),
        ("reservations", "0005_staff_permissions"),
    ]

    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
