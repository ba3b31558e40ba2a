from django.db import migrations, models


class Migration(migrations.Migration):
    """Documents of imported files."""

    dependencies = [("inventory", "0023_drafts_of_accounts")]

    operations = [
        migrations.AddField("stockdocument", "file_id", models.UUIDField(null=True)),
        migrations.AddField(
            "stockdocument", "file_name", models.CharField(blank=True, db_default="", default="", max_length=200)
        ),
    ]
