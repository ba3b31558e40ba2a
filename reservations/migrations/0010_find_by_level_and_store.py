from django.db import migrations, models

from audit.db.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    """Indexes of closed items by level (of open ones there is item_held), and of reservations by store."""

    atomic = False

    dependencies = [("reservations", "0009_inbox")]

    operations = [
        AddIndexConcurrently("reservation", models.Index(name="reservation_of_store", fields=["store", "id"])),
        AddIndexConcurrently(
            "reservationitem",
            models.Index(
                name="item_closed",
                fields=["level"],
                condition=models.Q(("held_until__isnull", True)),
            ),
        ),
    ]
