"""Webhooks: subscriptions, deliveries, requests to send again, and the log of attempts, partitioned by day."""

import django.contrib.postgres.fields
import django.db.models.deletion
import uuid_utils.compat
from django.db import migrations, models
from django.db.models.functions import Now

ATTEMPTS = (
    """
    CREATE TABLE audit_webhookattempt (
        id uuid NOT NULL,
        at timestamp with time zone NOT NULL,
        subscription_id uuid NOT NULL,
        event_id uuid NOT NULL,
        type varchar(64) NOT NULL,
        key varchar(80) NOT NULL,
        cursor varchar(64) NOT NULL,
        number smallint NOT NULL,
        url varchar(2000) NOT NULL,
        request jsonb NOT NULL,
        bytes integer NOT NULL,
        status smallint,
        answer varchar(1024) NOT NULL,
        milliseconds integer NOT NULL,
        is_delivered boolean NOT NULL,
        PRIMARY KEY (id, at)
    ) PARTITION BY RANGE (at)
    """,
    "CREATE INDEX audit_webhookattempt_of ON audit_webhookattempt (subscription_id, id)",
    "CREATE INDEX audit_webhookattempt_event ON audit_webhookattempt (subscription_id, event_id)",
    "CREATE TABLE audit_webhookattempt_default PARTITION OF audit_webhookattempt DEFAULT",
)


def identifier():
    return models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)


def array(of):
    return django.contrib.postgres.fields.ArrayField(base_field=of, blank=True, default=list, size=None)


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0009_streams"),
    ]

    operations = [
        migrations.CreateModel(
            name="WebhookSubscription",
            fields=[
                ("id", identifier()),
                ("name", models.CharField(max_length=100)),
                ("url", models.CharField(max_length=2000)),
                ("types", array(models.CharField(max_length=64))),
                ("store_codes", array(models.CharField(max_length=20))),
                ("product_ids", array(models.UUIDField())),
                ("fifo", models.BooleanField(db_default=False, default=False)),
                ("is_paused", models.BooleanField(db_default=False, default=False)),
                ("keys", models.JSONField(default=list)),
                ("cursor", models.TextField()),
                ("version", models.BigIntegerField(db_default=1, default=1, editable=False)),
                ("failing_since", models.DateTimeField(editable=False, null=True)),
                ("quiet_until", models.DateTimeField(editable=False, null=True)),
                ("disabled_at", models.DateTimeField(editable=False, null=True)),
                (
                    "disabled_because",
                    models.CharField(
                        choices=[("gone", "the receiver answered 410"), ("failing", "it failed for 5 days")],
                        db_default="",
                        default="",
                        max_length=10,
                    ),
                ),
                ("notified_at", models.DateTimeField(editable=False, null=True)),
                ("missed_at", models.DateTimeField(editable=False, null=True)),
                ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
            ],
            options={"verbose_name": "webhook"},
        ),
        migrations.CreateModel(
            name="WebhookReplay",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("cursor", models.TextField()),
                ("end", models.TextField()),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(db_default=Now())),
                (
                    "subscription",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="replays",
                        to="audit.webhooksubscription",
                    ),
                ),
            ],
            options={"default_permissions": ()},
        ),
        migrations.CreateModel(
            name="WebhookDelivery",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("event_id", models.UUIDField()),
                ("type", models.CharField(max_length=64)),
                ("key", models.CharField(max_length=80)),
                ("cursor", models.CharField(max_length=64)),
                ("body", models.TextField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("READY", "Ready"),
                            ("WAITING", "Waiting"),
                            ("BLOCKED", "Blocked"),
                            ("FAILED", "Failed"),
                        ],
                        max_length=8,
                    ),
                ),
                ("attempts", models.SmallIntegerField(db_default=0, default=0)),
                ("due_at", models.DateTimeField(db_default=Now())),
                ("created_at", models.DateTimeField(db_default=Now())),
                (
                    "subscription",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deliveries",
                        to="audit.webhooksubscription",
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "indexes": [
                    models.Index(
                        condition=models.Q(state="WAITING"), fields=["subscription", "due_at"], name="webhook_waiting"
                    ),
                    models.Index(
                        condition=models.Q(state="READY"), fields=["subscription", "id"], name="webhook_ready"
                    ),
                    models.Index(
                        condition=models.Q(state="FAILED"), fields=["subscription", "id"], name="webhook_failed"
                    ),
                    models.Index(fields=["subscription", "key", "id"], name="webhook_of_key"),
                ],
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(list(ATTEMPTS), ["DROP TABLE audit_webhookattempt"])],
            state_operations=[
                migrations.CreateModel(
                    name="WebhookAttempt",
                    fields=[
                        ("id", identifier()),
                        ("at", models.DateTimeField()),
                        ("subscription_id", models.UUIDField()),
                        ("event_id", models.UUIDField()),
                        ("type", models.CharField(max_length=64)),
                        ("key", models.CharField(max_length=80)),
                        ("cursor", models.CharField(max_length=64)),
                        ("number", models.SmallIntegerField()),
                        ("url", models.CharField(max_length=2000)),
                        ("request", models.JSONField()),
                        ("bytes", models.IntegerField()),
                        ("status", models.SmallIntegerField(null=True)),
                        ("answer", models.CharField(max_length=1024)),
                        ("milliseconds", models.IntegerField()),
                        ("is_delivered", models.BooleanField()),
                    ],
                    options={"verbose_name": "webhook attempt", "default_permissions": ("view",)},
                ),
            ],
        ),
    ]
