"""Reasons that the console offers for changes of stock, and the first of them. Managers keep the list from here on."""

import django.contrib.postgres.fields
import uuid_utils.compat
from django.db import migrations, models

FIRST = {
    "Delivery from a supplier": ["RECEIVE"],
    "Back from a customer": ["RECEIVE"],
    "Found": ["RECEIVE", "ADJUST"],
    "Damaged": ["ADJUST"],
    "Lost": ["ADJUST"],
    "Out of date": ["ADJUST"],
    "Booked wrongly before": ["ADJUST"],
    "Sold outside the shop": ["SHIP"],
    "Sent back to the supplier": ["SHIP"],
    "Sample": ["SHIP"],
    "Own use": ["SHIP", "ADJUST"],
    "Refill": ["TRANSFER"],
    "Balance between warehouses": ["TRANSFER"],
    "Shelf looks wrong": ["COUNT"],
    "Regular check": ["COUNT"],
}


def offer_first_reasons(apps, schema_editor):
    reason_model = apps.get_model("inventory", "AdjustmentReason")
    reason_model.objects.bulk_create(reason_model(text=text, kinds=kinds) for text, kinds in FIRST.items())


class Migration(migrations.Migration):
    dependencies = [("inventory", "0007_staff_permissions")]

    operations = [
        migrations.CreateModel(
            name="AdjustmentReason",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("text", models.CharField(max_length=100, unique=True)),
                (
                    "kinds",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=8), size=None),
                ),
                ("is_active", models.BooleanField(default=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("kinds__contained_by", ["RECEIVE", "ADJUST", "SHIP", "TRANSFER", "COUNT"]),
                            ("kinds__len__gt", 0),
                        ),
                        name="reason_kinds_are_known",
                    )
                ],
            },
        ),
        migrations.RunPython(offer_first_reasons, migrations.RunPython.noop),
    ]
