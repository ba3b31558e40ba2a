"""A reorder point is never above the maximum of its level.

A level that has one is low even when it is full, and no order could ever resolve its alert. Such reorder points are
lowered to the maximum first: below it, the level is low exactly as before. Each change is an audit entry of the actor
"migration", so that the levels can be listed afterwards.
"""

from django.db import migrations, models

LOWER = """
WITH wrong AS (
    SELECT id, reorder_point, max_stock_level FROM inventory_stocklevel WHERE reorder_point > max_stock_level
    ORDER BY id FOR NO KEY UPDATE
), lowered AS (
    UPDATE inventory_stocklevel level SET reorder_point = level.max_stock_level, version = level.version + 1,
        updated_at = clock_timestamp()
    FROM wrong WHERE level.id = wrong.id
)
INSERT INTO audit_auditentry (id, at, action, actor, source, request_id, store, subject_id, changes)
SELECT gen_random_uuid(), clock_timestamp(), 'inventory_level_changed', 'migration', 'command', '', '', id,
    jsonb_build_object('reorder_point', jsonb_build_array(reorder_point, max_stock_level))
FROM wrong
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_roles_in_a_table"), ("inventory", "0012_receiving_drafts")]

    operations = [
        migrations.RunSQL(LOWER, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="stocklevel",
            constraint=models.CheckConstraint(
                condition=models.Q(("reorder_point__isnull", True))
                | models.Q(("max_stock_level__isnull", True))
                | models.Q(("reorder_point__lte", models.F("max_stock_level"))),
                name="level_reorder_point_within_maximum",
            ),
        ),
    ]
