from django.db import migrations


class Migration(migrations.Migration):
    """Vacuum stock levels after a hundredth of them has changed, not after a fifth, and without pauses.

    Levels are few and change all the time: pruning on the page reuses the space of old versions, but only vacuum
    keeps the visibility map and the free space map true, and a short table is cheap to vacuum.
    """

    dependencies = [("inventory", "0002_keep_levels_heap_only")]

    operations = [
        migrations.RunSQL(
            """
            ALTER TABLE inventory_stocklevel SET (autovacuum_vacuum_scale_factor = 0.01,
                autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0.05,
                autovacuum_vacuum_cost_delay = 0)
            """,
            """
            ALTER TABLE inventory_stocklevel RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold,
                autovacuum_analyze_scale_factor, autovacuum_vacuum_cost_delay)
            """,
        )
    ]
