import django.db.models.deletion
from django.db import migrations, models

from audit.db.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    """An index of movements by type and time; and of levels by warehouse and id, in place of that by warehouse."""

    atomic = False

    dependencies = [("inventory", "0026_find_places_by_their_names")]

    operations = [
        AddIndexConcurrently("movement", models.Index(name="movement_type_time", fields=["type", "created_at", "id"])),
        AddIndexConcurrently("stocklevel", models.Index(name="level_of_warehouse", fields=["warehouse", "id"])),
        migrations.SeparateDatabaseAndState(
            # The foreign key stays as it is; by itself, AlterField would check it anew, under a lock.
            database_operations=[
                migrations.RunSQL(
                    "DROP INDEX CONCURRENTLY IF EXISTS inventory_stocklevel_warehouse_id_9f55a8ac",
                    "CREATE INDEX CONCURRENTLY inventory_stocklevel_warehouse_id_9f55a8ac"
                    " ON inventory_stocklevel (warehouse_id)",
                )
            ],
            state_operations=[
                migrations.AlterField(
                    model_name="stocklevel",
                    name="warehouse",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="levels",
                        to="inventory.warehouse",
                    ),
                )
            ],
        ),
    ]
