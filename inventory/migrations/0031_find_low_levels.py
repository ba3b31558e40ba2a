from django.db import migrations, models

from audit.db.indexes import AddIndexConcurrently

_AT_ONCE = 1000
_FULL = "coalesce(max_stock_level::bigint, reorder_point::bigint + coalesce(reorder_quantity, 0))"
_LINE = f"greatest(coalesce(reorder_point, 0), {_FULL} * 200000 / 1000000, min_stock_level::bigint)"
_MARK = f"""
WITH found AS (
    SELECT id FROM inventory_stocklevel
    WHERE id > %s AND NOT may_be_low AND (reorder_point IS NOT NULL OR max_stock_level IS NOT NULL)
        AND on_hand - reserved <= {_LINE}
    ORDER BY id LIMIT {_AT_ONCE} FOR NO KEY UPDATE
), marked AS (
    UPDATE inventory_stocklevel level SET may_be_low = true FROM found WHERE level.id = found.id
)
SELECT id FROM found ORDER BY id DESC LIMIT 1
"""  # noqa: S608 - constants only


def mark_low_levels(apps, schema_editor):
    """Mark the levels that were low before the trigger was there, a thousand in a transaction, locked by id."""
    last = ("00000000-0000-0000-0000-000000000000",)
    with schema_editor.connection.cursor() as cursor:
        while last:
            cursor.execute(_MARK, last)
            last = cursor.fetchone()


class Migration(migrations.Migration):
    """Find low levels by an index of the marked ones, and retired products by one of those with an end or inactive.

    No write is blocked; only the levels that are low are written.
    """

    atomic = False

    dependencies = [("inventory", "0030_mark_low_levels")]

    operations = [
        migrations.RunPython(mark_low_levels, migrations.RunPython.noop, elidable=True),
        AddIndexConcurrently(
            "stocklevel",
            models.Index(name="level_may_be_low", fields=["warehouse"], condition=models.Q(("may_be_low", True))),
        ),
        AddIndexConcurrently(
            "product",
            models.Index(
                name="product_may_be_retired",
                fields=["id"],
                condition=models.Q(("is_active", False), ("listing_expires_at__isnull", False), _connector="OR"),
            ),
        ),
        # Without statistics, the planner would expect half of all levels to be marked, and read them all.
        migrations.RunSQL("ANALYZE inventory_stocklevel (may_be_low)", migrations.RunSQL.noop),
    ]
