from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations, models

from audit.db.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    """Index due holds in the sweeper's order, so that each batch reads only its own holds.

    Before, every batch read and sorted all holds that end at the same instant, as those of a flash sale do.
    """

    atomic = False

    dependencies = [("reservations", "0003_shortage_incidents")]

    operations = [
        AddIndexConcurrently(
            "reservation",
            models.Index(
                name="reservation_due_order", fields=["expires_at", "id"], condition=models.Q(("status", "ACTIVE"))
            ),
        ),
        RemoveIndexConcurrently("reservation", "reservation_due"),
    ]
