from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations, models

from audit.db.indexes import AddIndexConcurrently


def _index(field):
    return AddIndexConcurrently(
        "reservation",
        models.Index(
            name=f"reservation_{field}_start",
            fields=[f"{field}_id"],
            opclasses=["varchar_pattern_ops"],
            condition=models.Q((f"{field}_id__isnull", False)),
        ),
    )


class Migration(migrations.Migration):
    """Order the indexes of carts, orders and customers by bytes, so that they also find what begins with a text.

    In a database whose collation is that of a language, the old ones find equal ids alone. The new ones replace them:
    a hold writes no index more than before.
    """

    atomic = False

    dependencies = [("reservations", "0006_staff_groups")]

    operations = [
        operation
        for field in ("cart", "order", "customer")
        for operation in (_index(field), RemoveIndexConcurrently("reservation", f"reservation_{field}"))
    ]
