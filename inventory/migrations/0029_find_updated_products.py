from django.db import migrations, models

from audit.db.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    """An index of products by the time of their last update."""

    atomic = False

    dependencies = [("inventory", "0028_when_products_were_updated")]

    operations = [
        AddIndexConcurrently("product", models.Index(fields=["updated_at", "id"], name="product_updated")),
    ]
