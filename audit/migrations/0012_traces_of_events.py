"""The trace that an event belongs to."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds a column without a default: instant, however many events there are."""

    dependencies = [("audit", "0011_heartbeats")]

    operations = [
        migrations.AddField(
            model_name="outboxevent",
            name="traceparent",
            field=models.CharField(max_length=55, null=True),
        )
    ]
