import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):
    """Mark levels that may be low: those that get there from now on.

    Changes no row. The table is locked for a moment; if that takes longer than two seconds, nothing is changed, and
    the migration can be run again.
    """

    dependencies = [("inventory", "0029_find_updated_products")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '2s'", migrations.RunSQL.noop),
        migrations.AddField(
            "stocklevel", "may_be_low", models.BooleanField(db_default=False, default=False, editable=False)
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="stocklevel",
            trigger=pgtrigger.compiler.Trigger(
                name="may_be_low",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition=(
                        "WHEN (NEW.may_be_low IS DISTINCT FROM ((NEW.reorder_point IS NOT NULL OR "
                        "NEW.max_stock_level IS NOT NULL) AND NEW.on_hand - NEW.reserved <= "
                        "greatest(coalesce(NEW.reorder_point, 0), coalesce(NEW.max_stock_level::bigint, "
                        "NEW.reorder_point::bigint + coalesce(NEW.reorder_quantity, 0)) * 200000 / 1000000, "
                        "NEW.min_stock_level::bigint) * CASE WHEN NEW.may_be_low THEN 11 ELSE 10 END / 10 + "
                        "NEW.may_be_low::int))"
                    ),
                    func="NEW.may_be_low = NOT NEW.may_be_low; RETURN NEW;",
                    hash="0a6fa99f0a7420139c8b07fc135b53886aea90ed",
                    operation="INSERT OR UPDATE",
                    pgid="pgtrigger_may_be_low_8373e",
                    table="inventory_stocklevel",
                    when="BEFORE",
                ),
            ),
        ),
    ]
