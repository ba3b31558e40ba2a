import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):
    """Keep reservations while they have items by a trigger, so that items need no foreign-key checks.

    Changes no row. The tables are locked for a moment; if that takes longer than two seconds, nothing is changed, and
    the migration can be run again.
    """

    dependencies = [
        ("inventory", "0033_levels_are_never_deleted"),
        ("reservations", "0012_find_updated_reservations"),
    ]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '2s'", migrations.RunSQL.noop),
        pgtrigger.migrations.AddTrigger(
            model_name="reservation",
            trigger=pgtrigger.compiler.Trigger(
                name="kept_with_items",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    constraint="CONSTRAINT",
                    func=(
                        "IF EXISTS (SELECT FROM reservations_reservationitem WHERE reservation_id = OLD.id) THEN "
                        "RAISE foreign_key_violation USING MESSAGE = 'Reservation ' || OLD.id || ' has items.'; "
                        "END IF; RETURN NULL;"
                    ),
                    hash="d1369d84d697ccddd880af4c6e24389b951b9c2c",
                    operation="DELETE",
                    pgid="pgtrigger_kept_with_items_4c974",
                    table="reservations_reservation",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        *(
            migrations.AlterField(
                model_name="reservationitem",
                name=name,
                field=models.ForeignKey(
                    db_constraint=False,
                    db_index=False,
                    on_delete=django.db.models.deletion.PROTECT,
                    related_name="items",
                    to=to,
                ),
            )
            for name, to in (("level", "inventory.stocklevel"), ("reservation", "reservations.reservation"))
        ),
    ]
