from django.db import migrations, models

import inventory.place_keys
from audit.db.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    """An index of places. It has no counter: a hold or a sale doesn't touch it."""

    atomic = False

    dependencies = [("inventory", "0025_find_documents_of_files")]

    operations = [
        AddIndexConcurrently(
            "stocklevel",
            models.Index(models.F("warehouse"), inventory.place_keys.PlaceKey(), name="level_place"),
        ),
    ]
