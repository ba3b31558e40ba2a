"""No two products have SKUs that are the same without regard to case, but for those that were there before."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0015_clean_texts")]

    operations = [
        migrations.AlterField(
            model_name="product",
            name="sku_key",
            field=models.CharField(editable=False, max_length=200),
        ),
        migrations.AlterField(
            model_name="product",
            name="barcode_key",
            field=models.CharField(editable=False, max_length=200),
        ),
        migrations.AddConstraint(
            model_name="product",
            constraint=models.UniqueConstraint(fields=("sku_key", "sku_twin"), name="product_sku_once"),
        ),
        migrations.AddIndex(
            model_name="product",
            index=models.Index(fields=["barcode_key"], name="product_barcode_key"),
        ),
    ]
