from django.db import migrations, models

from audit.db.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    """An index of the zones of a warehouse."""

    atomic = False

    dependencies = [("inventory", "0031_find_low_levels")]

    operations = [
        AddIndexConcurrently("stocklevel", models.Index(name="level_zone", fields=["warehouse", "zone"])),
    ]
