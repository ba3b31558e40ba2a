"""Access to all warehouses is given, and no longer the meaning of an empty list.

Whoever reaches all warehouses today keeps them: accounts with an empty list, and accounts without a row.
"""

from django.conf import settings
from django.db import migrations, models

KEEP_ALL = "UPDATE audit_staffaccess SET all_warehouses = true WHERE warehouse_codes = '{}'"


def give_all_to_accounts_without_access(apps, schema_editor):
    access_model = apps.get_model("audit", "StaffAccess")
    app_label, model_name = settings.AUTH_USER_MODEL.split(".")
    users = apps.get_model(app_label, model_name).objects.filter(staff_access__isnull=True).values_list("pk", flat=True)
    access_model.objects.bulk_create(
        (access_model(user_id=user_id, all_warehouses=True) for user_id in users.iterator()), batch_size=1000
    )


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0005_reading_leases"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="staffaccess",
            name="all_warehouses",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddConstraint(
            model_name="staffaccess",
            constraint=models.CheckConstraint(
                condition=models.Q(("all_warehouses", False)) | models.Q(("warehouse_codes", [])),
                name="staff_access_all_or_some",
            ),
        ),
        # Last: rows with deferred foreign keys keep PostgreSQL from altering their table.
        migrations.RunSQL(KEEP_ALL, migrations.RunSQL.noop),
        migrations.RunPython(give_all_to_accounts_without_access, migrations.RunPython.noop),
    ]
