"""Managers and administrators keep the reasons that the console offers."""

from django.db import migrations

from audit.permissions import grant

KEPT = [f"inventory.{verb}_adjustmentreason" for verb in ("view", "add", "change")]


def let_managers_keep_reasons(apps, schema_editor):
    grant(apps, {"manager": KEPT, "administrator": KEPT})


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("inventory", "0008_adjustment_reasons"),
    ]

    operations = [migrations.RunPython(let_managers_keep_reasons, migrations.RunPython.noop)]
