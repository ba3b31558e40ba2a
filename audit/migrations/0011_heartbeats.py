"""Heartbeats of background processes."""

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    """Adds their table, which begins empty."""

    dependencies = [("audit", "0010_webhooks")]

    operations = [
        migrations.CreateModel(
            name="Heartbeat",
            fields=[
                ("name", models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("at", models.DateTimeField(db_default=Now())),
                ("detail", models.JSONField(default=dict)),
            ],
            options={"default_permissions": ()},
        )
    ]
