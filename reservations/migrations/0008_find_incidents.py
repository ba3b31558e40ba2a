from django.contrib.postgres.indexes import OpClass
from django.db import migrations, models
from django.db.models.functions import Cast, Reverse

from audit.db.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    """Find incidents by the end of their id, and by an order whose reservation they cancelled."""

    atomic = False

    dependencies = [("reservations", "0007_find_ids_by_their_beginning")]

    operations = [
        AddIndexConcurrently(
            "shortageincident",
            models.Index(
                OpClass(Reverse(Cast("id", models.TextField())), name="text_pattern_ops"), name="incident_id_end"
            ),
        ),
        AddIndexConcurrently(
            "brokenhold",
            models.Index(
                fields=["order_id"], name="broken_hold_order", condition=models.Q(("order_id__isnull", False))
            ),
        ),
    ]
