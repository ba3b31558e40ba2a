"""Drafts belong to an account by its id, so that renaming it takes none of them away."""

from django.db import migrations, models
from django.db.models import Q

FIND = """
UPDATE inventory_receivingdraft d SET account_id = u.id FROM auth_user u
    WHERE u.username = d.owner AND d.account_id IS NULL;
UPDATE inventory_transfer t SET account_id = u.id FROM auth_user u
    WHERE u.username = t.initiated_by AND t.status = 'PENDING' AND t.account_id IS NULL;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("inventory", "0022_mails_in_local_time"),
    ]

    operations = [
        migrations.AddField("receivingdraft", "account_id", models.BigIntegerField(null=True)),
        migrations.AddField("transfer", "account_id", models.BigIntegerField(null=True, editable=False)),
        migrations.RunSQL(FIND, migrations.RunSQL.noop),
        migrations.RemoveConstraint("receivingdraft", "draft_once_a_delivery"),
        migrations.RemoveConstraint("receivingdraft", "draft_once_a_transfer"),
        migrations.AddConstraint(
            "receivingdraft",
            models.UniqueConstraint(
                name="draft_once_a_delivery",
                fields=["account_id", "warehouse", "reference"],
                condition=Q(posted_at__isnull=True, transfer__isnull=True),
            ),
        ),
        migrations.AddConstraint(
            "receivingdraft",
            models.UniqueConstraint(
                name="draft_once_a_transfer",
                fields=["account_id", "transfer"],
                condition=Q(posted_at__isnull=True, transfer__isnull=False),
            ),
        ),
    ]
