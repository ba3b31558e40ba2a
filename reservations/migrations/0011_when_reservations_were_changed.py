from django.db import migrations, models


class Migration(migrations.Migration):
    """When the items, the customer or the order of a reservation were last changed; null for those before."""

    dependencies = [("reservations", "0010_find_by_level_and_store")]

    operations = [
        migrations.AddField("reservation", "changed_at", models.DateTimeField(null=True)),
    ]
