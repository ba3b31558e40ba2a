"""The store that a movement belongs to, so that clients of other stores don't see whose order it was.

Adding a column with a constant default takes no time, however many rows there are. Rows that exist are not filled in:
movements are append-only, and to fill them the trigger would have to be switched off under a lock on the table. Until
they are archived, clients limited to stores see these rows' references only in warehouses that no other store sells
from.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0010_find_products_by_words")]

    operations = [
        migrations.AddField(
            model_name="movement",
            name="store",
            field=models.CharField(blank=True, db_default="", default="", max_length=20),
        ),
    ]
