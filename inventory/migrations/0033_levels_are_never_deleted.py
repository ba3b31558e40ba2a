import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):
    """Forbid the deletion of levels, so that movements need no foreign-key check.

    Changes no row. The tables are locked for a moment; if that takes longer than two seconds, nothing is changed, and
    the migration can be run again.
    """

    dependencies = [("inventory", "0032_find_zones")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '2s'", migrations.RunSQL.noop),
        pgtrigger.migrations.AddTrigger(
            model_name="stocklevel",
            trigger=pgtrigger.compiler.Trigger(
                name="never_deleted",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                    hash="abae59c63ed37d020bec7906e8be6d30af3815aa",
                    operation="DELETE",
                    pgid="pgtrigger_never_deleted_964ff",
                    table="inventory_stocklevel",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.AlterField(
            model_name="movement",
            name="level",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="movements",
                to="inventory.stocklevel",
            ),
        ),
    ]
