"""The keys by which codes of products are compared. The next migration computes them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0013_reorder_point_within_maximum")]

    operations = [
        migrations.AddField(
            model_name="product",
            name="sku_key",
            field=models.CharField(default="", editable=False, max_length=200),
        ),
        migrations.AddField(
            model_name="product",
            name="barcode_key",
            field=models.CharField(default="", editable=False, max_length=200),
        ),
        migrations.AddField(
            model_name="product",
            name="sku_twin",
            field=models.PositiveSmallIntegerField(db_default=0, default=0, editable=False),
        ),
    ]
