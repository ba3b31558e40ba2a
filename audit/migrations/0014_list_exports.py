import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0013_find_what_people_did"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ListExport",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("model", models.CharField(max_length=100)),
                ("kind", models.CharField(max_length=4)),
                ("query", models.TextField()),
                ("name", models.CharField(max_length=100)),
                ("time_zone", models.CharField(max_length=64)),
                (
                    "warehouse_codes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=20), null=True, size=None
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("WRITING", "Writing"),
                            ("DONE", "Done"),
                            ("FAILED", "Failed"),
                            ("CANCELLED", "Cancelled"),
                        ],
                        default="WRITING",
                        max_length=9,
                    ),
                ),
                ("rows", models.BigIntegerField()),
                ("rows_done", models.BigIntegerField(default=0)),
                ("size_bytes", models.BigIntegerField(default=0)),
                ("failure", models.TextField(default="")),
                ("request_id", models.CharField(max_length=128)),
                ("attempts", models.SmallIntegerField(default=0)),
                ("token", models.UUIDField(null=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("begun_at", models.DateTimeField(null=True)),
                ("seen_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="ListExportPiece",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.IntegerField()),
                ("content", models.BinaryField()),
                (
                    "export",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pieces",
                        to="audit.listexport",
                    ),
                ),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.AddIndex(
            model_name="listexport",
            index=models.Index(fields=["user", "created_at"], name="list_export_of_user"),
        ),
        migrations.AddIndex(
            model_name="listexport",
            index=models.Index(fields=["created_at"], name="list_export_age"),
        ),
        migrations.AddConstraint(
            model_name="listexportpiece",
            constraint=models.UniqueConstraint(fields=("export", "number"), name="list_export_piece_once"),
        ),
    ]
