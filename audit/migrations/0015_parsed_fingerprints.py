from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0014_list_exports")]

    operations = [
        migrations.AddField("idempotencykey", "parsed_fingerprint", models.BinaryField(max_length=32, null=True)),
    ]
