"""Clean the stored texts, as texts are cleaned today when they are entered, and compute the keys of codes.

Blanks at the ends and characters that nobody sees are taken out. A text stays as it is where that can't be done:
nothing would be left of it, it would be too long, or another row has it already. Products whose SKUs are the same
without regard to case all stay: each but the oldest gets a number in ``sku_twin``, so that the constraint of the next
migration holds, and from then on no further one can be made. ``manage.py check_texts`` lists what stayed, and what to
do about it.

Movements and audit entries are append-only and stay as they are.
"""

from collections import Counter
from datetime import UTC, datetime

from django.db import migrations
from django.db.models import F, Q

from audit.texts import without_refused
from inventory.codes import barcode_key, sku_key

BATCH = 5000
UNCLEAN = r"^ | $|[^ -~]"
"""What may not be clean: a blank at an end, or anything but printable ASCII."""
TEXTS = (
    ("Warehouse", ("name",)),
    ("Store", ("name",)),
    ("StockLevel", ("zone", "aisle", "shelf")),
    ("StockCount", ("zone",)),
    ("Transfer", ("reference",)),
    ("AdjustmentReason", ("text",)),
)
_UPDATE = """
UPDATE inventory_product AS product SET sku = t.sku, sku_key = t.sku_key, sku_twin = t.sku_twin, name = t.name,
    barcode = t.barcode, barcode_key = t.barcode_key
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::int[], %s::text[], %s::text[], %s::text[])
    AS t (id, sku, sku_key, sku_twin, name, barcode, barcode_key)
WHERE product.id = t.id
"""


def clean_products(apps, schema_editor):
    """Clean the codes and names of all products, and compute their keys."""
    products = apps.get_model("inventory", "Product").objects.order_by("created_at", "id")
    rows = list(products.values_list("id", "sku", "name", "barcode"))
    alike = Counter(sku_key(sku) for _id, sku, _name, _barcode in rows)
    seen = Counter()
    given, entries = [], []
    # A SKU that is clean already is the oldest of those that are the same: it is the one that files and scans reach.
    for id_, sku, name, barcode in sorted(rows, key=lambda row: row[1] != without_refused(row[1])):
        key = sku_key(sku)
        fields = {
            "sku": cleaned(sku, 64) if alike[key] == 1 else sku,
            "name": cleaned(name, 200),
            "barcode": cleaned(barcode, 64, may_be_empty=True),
        }
        given.append((id_, fields["sku"], key, seen[key], fields["name"], fields["barcode"], barcode_key(barcode)))
        seen[key] += 1
        before = {"sku": sku, "name": name, "barcode": barcode}
        if changes := {field: value for field, value in fields.items() if value != before[field]}:
            entries.append((id_, changes))
    with schema_editor.connection.cursor() as cursor:
        for start in range(0, len(given), BATCH):
            cursor.execute(_UPDATE, [list(column) for column in zip(*given[start : start + BATCH], strict=True)])
    record_changes(apps, entries)


def cleaned(text, longest, *, may_be_empty=False):
    """The clean text; the text itself if that would be too long, or empty though it may not be."""
    clean = without_refused(text)
    return clean if (clean or may_be_empty) and len(clean) <= longest else text


def record_changes(apps, entries):
    """Write the audit entries of the products that were changed."""
    entry_model = apps.get_model("audit", "AuditEntry")
    now = datetime.now(UTC)
    entry_model.objects.bulk_create(
        (
            entry_model(
                at=now,
                action="inventory_product_changed",
                actor="migration",
                source="command",
                request_id="",
                store="",
                subject_id=id_,
                changes=changes,
            )
            for id_, changes in entries
        ),
        batch_size=BATCH,
    )


def clean_texts(apps, schema_editor):
    """Clean the other texts."""
    for model_name, fields in TEXTS:
        model = apps.get_model("inventory", model_name)
        unclean = Q()
        for field in fields:
            unclean |= Q(**{f"{field}__regex": UNCLEAN})
        for row in model.objects.filter(unclean):
            changes = {field: cleaned_of(row, field) for field in fields}
            if all(getattr(row, field) == value for field, value in changes.items()):
                continue
            if not (model_name == "AdjustmentReason" and model.objects.filter(**changes).exists()):
                version = {"version": F("version") + 1} if model_name == "StockLevel" else {}
                model.objects.filter(pk=row.pk).update(**changes, **version)


def cleaned_of(row, name):
    """The clean text of a row's field."""
    field = row._meta.get_field(name)
    return cleaned(getattr(row, name), field.max_length, may_be_empty=field.blank)


class Migration(migrations.Migration):
    dependencies = [("inventory", "0014_keys_of_codes"), ("audit", "0004_roles_in_a_table")]

    operations = [
        migrations.RunPython(clean_products, migrations.RunPython.noop, elidable=True),
        migrations.RunPython(clean_texts, migrations.RunPython.noop, elidable=True),
    ]
