"""The cursors of streams."""

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    """Adds the table of the cursors of sinks; without rows, each sink begins with the oldest event."""

    dependencies = [("audit", "0008_event_log")]

    operations = [
        migrations.CreateModel(
            name="StreamCursor",
            fields=[
                ("name", models.CharField(max_length=300, primary_key=True, serialize=False)),
                ("cursor", models.TextField()),
                ("moved_at", models.DateTimeField(db_default=Now())),
            ],
            options={"default_permissions": ()},
        )
    ]
