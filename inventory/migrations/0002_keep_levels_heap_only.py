from django.db import migrations


class Migration(migrations.Migration):
    """Free space on each page of stock levels, so that a reserve's new row version stays on its page (heap-only)."""

    dependencies = [("inventory", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE inventory_stocklevel SET (fillfactor = 50)",
            "ALTER TABLE inventory_stocklevel RESET (fillfactor)",
        )
    ]
