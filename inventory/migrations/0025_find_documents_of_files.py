from django.db import migrations, models

from audit.db.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    """An index of the documents of imported files."""

    atomic = False

    dependencies = [("inventory", "0024_documents_of_files")]

    operations = [
        AddIndexConcurrently(
            "stockdocument",
            models.Index(name="document_file", fields=["file_id"], condition=models.Q(("file_id__isnull", False))),
        ),
    ]
