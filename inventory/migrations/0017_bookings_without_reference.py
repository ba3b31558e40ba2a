from django.db import migrations, models

from audit.db.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    """Index the movements by which an import knows lines without a reference that were booked before."""

    atomic = False

    dependencies = [("inventory", "0016_each_sku_once")]

    operations = [
        AddIndexConcurrently(
            "movement",
            models.Index(
                name="movement_without_reference",
                fields=["level"],
                condition=models.Q(("adjustment_id__isnull", False), ("reference", "")),
            ),
        ),
    ]
