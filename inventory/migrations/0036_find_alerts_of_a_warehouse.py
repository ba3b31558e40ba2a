import time

from django.db import migrations, models

from audit.db.indexes import AddIndexConcurrently

_AT_ONCE = 1000
_WAIT_SECONDS = 0.1
FILL = f"""
WITH found AS (
    SELECT id FROM inventory_lowstockalert WHERE id > %s AND level_warehouse_id IS NULL
    ORDER BY id LIMIT {_AT_ONCE} FOR NO KEY UPDATE SKIP LOCKED
), filled AS (
    UPDATE inventory_lowstockalert alert SET level_warehouse_id = level.warehouse_id
    FROM found, inventory_stocklevel level WHERE alert.id = found.id AND level.id = alert.level_id
)
SELECT id FROM found ORDER BY id DESC LIMIT 1
"""  # noqa: S608 - constants only


def fill_warehouses(apps, schema_editor):
    """Give each alert that is older than the trigger its warehouse, a thousand alerts in a transaction.

    Waits for no lock while it holds others: an alert that another transaction has locked is left for the next round.
    """
    with schema_editor.connection.cursor() as cursor:
        while _is_left(cursor):
            last = ("00000000-0000-0000-0000-000000000000",)
            while last:
                cursor.execute(FILL, last)
                last = cursor.fetchone()
            time.sleep(_WAIT_SECONDS)


def _is_left(cursor):
    cursor.execute("SELECT EXISTS (SELECT FROM inventory_lowstockalert WHERE level_warehouse_id IS NULL)")
    return cursor.fetchone()[0]


class Migration(migrations.Migration):
    """Find the alerts of a warehouse by an index, and the open ones by another.

    Takes no lock that blocks writes to the table. Only alerts are changed, each of them once.
    """

    atomic = False

    dependencies = [("inventory", "0035_alerts_have_warehouses")]

    operations = [
        migrations.RunPython(fill_warehouses, migrations.RunPython.noop, elidable=True),
        AddIndexConcurrently(
            "lowstockalert", models.Index(name="alert_of_warehouse", fields=["level_warehouse", "id"])
        ),
        AddIndexConcurrently(
            "lowstockalert",
            models.Index(
                name="alert_open_in_warehouse",
                fields=["level_warehouse", "id"],
                condition=models.Q(("resolved_at__isnull", True)),
            ),
        ),
        # Without statistics, the planner would expect a two-hundredth of all alerts in each warehouse.
        migrations.RunSQL("ANALYZE inventory_lowstockalert (level_warehouse_id)", migrations.RunSQL.noop),
    ]
