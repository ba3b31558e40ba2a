"""Short numbers of documents: of what is posted by hand, and of transfers and counts."""

import django.contrib.postgres.fields
import django.db.models.deletion
import uuid_utils.compat
from django.db import migrations, models

KINDS = ("rc", "sh", "ad", "rt", "rv")


def sequence(name: str) -> migrations.RunSQL:
    """Make a sequence of numbers."""
    return migrations.RunSQL(f"CREATE SEQUENCE {name} START 1001", f"DROP SEQUENCE {name}")


def owned(name: str, column: str) -> migrations.RunSQL:
    """Let a sequence belong to a column: it changes owners with the table, and is dropped with it."""
    return migrations.RunSQL(f"ALTER SEQUENCE {name} OWNED BY {column}", f"ALTER SEQUENCE {name} OWNED BY NONE")


def in_order(table: str) -> migrations.RunSQL:
    """Number the rows of a table in the order in which they were made.

    The new column has rewritten the table, so that its foreign keys are checked again: at once, since a table with
    checks to come can't be altered.
    """
    ordered = f"SELECT id, 1000 + row_number() OVER (ORDER BY id) AS number FROM {table}"  # noqa: S608
    sql = f"UPDATE {table} AS t SET number = ordered.number FROM ({ordered}) AS ordered WHERE ordered.id = t.id"  # noqa: S608
    statements = ["SET CONSTRAINTS ALL IMMEDIATE", sql, "SET CONSTRAINTS ALL DEFERRED"]
    return migrations.RunSQL(statements, migrations.RunSQL.noop)


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0018_versions_of_the_catalogue"),
    ]

    operations = [
        sequence("inventory_transfer_number"),
        sequence("inventory_count_number"),
        *(sequence(f"inventory_document_{kind}") for kind in KINDS),
        migrations.CreateModel(
            name="StockDocument",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("RC", "Receipt"),
                            ("SH", "Shipment"),
                            ("AD", "Adjustment"),
                            ("RT", "Return"),
                            ("RV", "Reversal"),
                        ],
                        max_length=2,
                    ),
                ),
                ("number", models.BigIntegerField()),
                (
                    "warehouse_codes",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=20), size=None),
                ),
                ("reference", models.CharField(blank=True, max_length=100)),
                ("reason", models.CharField(blank=True, max_length=500)),
                ("actor", models.CharField(max_length=150)),
                ("created_at", models.DateTimeField()),
            ],
            options={"permissions": [("reverse_stock", "Can reverse posted documents")]},
        ),
        migrations.AddField(
            model_name="stockcount",
            name="number",
            field=models.BigIntegerField(
                db_default=models.Func(
                    models.Value("inventory_count_number"), function="nextval", output_field=models.BigIntegerField()
                ),
                editable=False,
            ),
        ),
        migrations.AddField(
            model_name="transfer",
            name="number",
            field=models.BigIntegerField(
                db_default=models.Func(
                    models.Value("inventory_transfer_number"), function="nextval", output_field=models.BigIntegerField()
                ),
                editable=False,
            ),
        ),
        migrations.AddField(
            model_name="transfer",
            name="reverses",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="sent_back_by",
                to="inventory.transfer",
            ),
        ),
        in_order("inventory_transfer"),
        in_order("inventory_stockcount"),
        owned("inventory_transfer_number", "inventory_transfer.number"),
        owned("inventory_count_number", "inventory_stockcount.number"),
        *(owned(f"inventory_document_{kind}", "inventory_stockdocument.number") for kind in KINDS),
        migrations.AddConstraint(
            model_name="stockcount",
            constraint=models.UniqueConstraint(fields=("number",), name="count_number_once"),
        ),
        migrations.AddConstraint(
            model_name="transfer",
            constraint=models.UniqueConstraint(fields=("number",), name="transfer_number_once"),
        ),
        migrations.AddConstraint(
            model_name="transfer",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status", "CANCELLED"), _negated=True),
                fields=("reverses",),
                name="transfer_sent_back_once",
            ),
        ),
        migrations.AddField(
            model_name="stockdocument",
            name="reverses",
            field=models.OneToOneField(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="reversed_by",
                to="inventory.stockdocument",
            ),
        ),
        migrations.AddIndex(
            model_name="stockdocument",
            index=models.Index(
                condition=models.Q(("reference", ""), _negated=True), fields=["reference"], name="document_reference"
            ),
        ),
        migrations.AddConstraint(
            model_name="stockdocument",
            constraint=models.UniqueConstraint(fields=("kind", "number"), name="document_number_once"),
        ),
        migrations.AddConstraint(
            model_name="stockdocument",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["RC", "SH", "AD", "RT", "RV"])), name="document_kind_is_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="stockdocument",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "RV"), ("reverses__isnull", False)),
                    models.Q(models.Q(("kind", "RV"), _negated=True), ("reverses__isnull", True)),
                    _connector="OR",
                ),
                name="document_reversal_reverses",
            ),
        ),
    ]
