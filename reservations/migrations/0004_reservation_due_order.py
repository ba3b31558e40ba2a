from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Keep due holds in the sweeper's order, so that each batch reads its own and no others.

    Holds that end at the same instant, as those of a flash sale do, were read and sorted all of them for every batch.
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
