from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Documents of imported files."""

    atomic = False

    dependencies = [("inventory", "0023_drafts_of_accounts")]

    operations = [
        migrations.AddField("stockdocument", "file_id", models.UUIDField(null=True)),
        migrations.AddField(
            "stockdocument", "file_name", models.CharField(blank=True, db_default="", default="", max_length=200)
        ),
        AddIndexConcurrently(
            "stockdocument",
            models.Index(name="document_file", fields=["file_id"], condition=models.Q(("file_id__isnull", False))),
        ),
    ]
