import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):
    """Give alerts that are opened from now on the warehouse of their level.

    Changes no row. The table is locked for a moment; if the lock isn't granted within two seconds, nothing is changed,
    and the migration can be run again.
    """

    dependencies = [("inventory", "0034_always_mark_low_levels")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '2s'", migrations.RunSQL.noop),
        migrations.AddField(
            "lowstockalert",
            "level_warehouse",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="inventory.warehouse",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="lowstockalert",
            trigger=pgtrigger.compiler.Trigger(
                name="of_warehouse",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (NEW.level_warehouse_id IS NULL)",
                    func=(
                        "NEW.level_warehouse_id = "
                        "(SELECT warehouse_id FROM inventory_stocklevel WHERE id = NEW.level_id); RETURN NEW;"
                    ),
                    hash="450197d3d99df87227442d9c6a8113199111177c",
                    operation="INSERT",
                    pgid="pgtrigger_of_warehouse_c2de3",
                    table="inventory_lowstockalert",
                    when="BEFORE",
                ),
            ),
        ),
    ]
