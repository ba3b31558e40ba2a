"""Plainer labels of choices and fields; nothing changes in the database."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0019_documents_have_numbers"),
    ]

    operations = [
        migrations.AlterField(
            model_name="reconciliationfinding",
            name="kind",
            field=models.CharField(
                choices=[
                    ("ON_HAND", "On hand against the ledger"),
                    ("RESERVED", "Reserved against reservations"),
                    ("IN_TRANSIT", "In transit against the ledger"),
                    ("LONG_DUE", "Reservation long past its end"),
                    ("ORPHAN", "Row without its owner"),
                ],
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="stockcount",
            name="scope",
            field=models.CharField(
                choices=[
                    ("ALL", "All of the warehouse"),
                    ("ZONE", "A zone"),
                    ("PRODUCTS", "Chosen products"),
                    ("STALE", "Not counted recently"),
                ],
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="store",
            name="ttl_minutes",
            field=models.PositiveSmallIntegerField(
                blank=True,
                null=True,
                validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(60)],
                verbose_name="reservation time in minutes",
            ),
        ),
    ]
