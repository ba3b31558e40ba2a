from django.db import migrations

_TABLES = ("reservations_reservation", "reservations_reservationitem")
_SETTINGS = {
    "autovacuum_vacuum_scale_factor": "0.005",
    "autovacuum_vacuum_threshold": "5000",
    "autovacuum_analyze_scale_factor": "0.01",
    "autovacuum_vacuum_cost_delay": "0",
}


class Migration(migrations.Migration):
    """Vacuum holds after a fixed number of changes instead of a share of the table.

    Every hold leaves the partial indexes of active holds when it ends. With ten million closed holds, PostgreSQL's
    default of a fifth would let two million dead entries pile up in indexes that are useful only while small.
    """

    dependencies = [("reservations", "0001_initial")]

    operations = [
        migrations.RunSQL(
            f"ALTER TABLE {table} SET ({', '.join(f'{name} = {value}' for name, value in _SETTINGS.items())})",
            f"ALTER TABLE {table} RESET ({', '.join(_SETTINGS)})",
        )
        for table in _TABLES
    ]
