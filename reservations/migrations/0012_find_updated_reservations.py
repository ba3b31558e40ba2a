from django.db import migrations, models
from django.db.models.functions import Greatest

from audit.db.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    """An index of each store's reservations by the time of their last update, also of those before this migration."""

    atomic = False

    dependencies = [("reservations", "0011_when_reservations_were_changed")]

    operations = [
        AddIndexConcurrently(
            "reservation",
            models.Index(
                models.F("store"),
                Greatest("created_at", "extended_at", "changed_at", "consumed_at", "released_at"),
                models.F("id"),
                name="reservation_updated",
            ),
        ),
    ]
