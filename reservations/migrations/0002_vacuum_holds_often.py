from django.db import migrations

_TABLES = ("reservations_reservation", "reservations_reservationitem")
_SETTINGS = {
    "autovacuum_vacuum_scale_factor": "0.005",
    "autovacuum_vacuum_threshold": "5000",
    "autovacuum_analyze_scale_factor": "0.01",
    "autovacuum_vacuum_cost_delay": "0",
}


class Migration(migrations.Migration):
    """Vacuum holds by what changes, not by how long the history is.

    Every hold leaves the partial indexes of active ones when it ends. With ten million closed ones behind it, the
    standard fifth would let two million dead entries pile up in indexes whose worth is that they are small.
    """

    dependencies = [("reservations", "0001_initial")]

    operations = [
        migrations.RunSQL(
            f"ALTER TABLE {table} SET ({', '.join(f'{name} = {value}' for name, value in _SETTINGS.items())})",
            f"ALTER TABLE {table} RESET ({', '.join(_SETTINGS)})",
        )
        for table in _TABLES
    ]
