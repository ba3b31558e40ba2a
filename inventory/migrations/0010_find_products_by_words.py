import django.contrib.postgres.indexes
from django.db import migrations

import inventory.words


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0009_who_keeps_reasons"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="product",
            index=django.contrib.postgres.indexes.GinIndex(inventory.words.Words("sku", "name"), name="product_words"),
        ),
    ]
