from django.db import migrations

_TRIGGER = "ALTER TABLE inventory_stocklevel ENABLE {}TRIGGER pgtrigger_may_be_low_8373e"


class Migration(migrations.Migration):
    """Mark levels also where other triggers are off: while rows are replicated, or loaded with ``replica`` as role."""

    dependencies = [("inventory", "0033_levels_are_never_deleted")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '2s'", migrations.RunSQL.noop),
        migrations.RunSQL(_TRIGGER.format("ALWAYS "), _TRIGGER.format("")),
    ]
