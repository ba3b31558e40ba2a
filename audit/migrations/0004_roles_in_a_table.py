"""The choices of a client's role come from ``audit.roles``: a role that is added there needs no migration."""

from django.db import migrations, models

import audit.roles


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0003_staff_access"),
    ]

    operations = [
        migrations.AlterField(
            model_name="apiclient",
            name="role",
            field=models.CharField(choices=audit.roles.role_choices, max_length=16),
        ),
    ]
