from django.db import migrations, models

from audit.db.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    """Indexes of what people and commands did: programs' entries, which are many, are in none of them."""

    atomic = False

    dependencies = [("audit", "0012_traces_of_events")]

    operations = [
        AddIndexConcurrently(
            "auditentry",
            models.Index(
                name="audit_entry_by_hand",
                fields=["source", "id"],
                condition=models.Q(("source__in", ("admin", "command"))),
            ),
        ),
        AddIndexConcurrently(
            "auditentry",
            models.Index(
                name="audit_entry_of_person",
                fields=["actor", "id"],
                condition=models.Q(("source__in", ("admin", "command"))),
            ),
        ),
    ]
