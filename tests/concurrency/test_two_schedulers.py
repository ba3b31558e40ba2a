"""Two schedulers do no harm: whatever they schedule may run twice at the same time, and takes effect once."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core import mail
from django.db import connection, transaction
from django.utils import timezone

from audit.models import OutboxEvent
from config.celery import app
from inventory.models import AlertSubscription, Movement, Product, StockLevel
from inventory.services.catalogue import freezing
from tests.archives import archived_rows, let_days_pass
from tests.books import assert_books_balance
from tests.concurrency.threads import together
from tests.factories import ACTOR, hold, make_due, make_level

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]


def run_twice(name: str) -> list[Any]:
    """Run a task in two workers at the same moment."""
    task = app.tasks[name]
    return together(task, task)


def test_what_two_schedulers_send_takes_effect_once(settings: LazySettings, tmp_path: Path) -> None:
    settings.ARCHIVE_DIR, settings.ARCHIVE_BATCH_SIZE = tmp_path, 3
    old = [make_level(10) for _ in range(3)]
    with transaction.atomic():
        let_days_pass(400)
    low = make_level(10)
    AlertSubscription.objects.create(warehouse=low.warehouse, email="ada@example.com")
    StockLevel.objects.filter(pk=low.pk).update(reorder_point=20)
    due = [hold((make_level(10), 1)) for _ in range(5)]
    make_due(*(each.id for each in due))
    frozen = freezing.Subject(Product, make_level(10).product_id)
    freezing.freeze(ACTOR, frozen, reason="a recall", until=timezone.now() + timedelta(days=1))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE inventory_product SET frozen_at = now() - interval '2 hours', frozen_until = now()"
            " WHERE frozen_at IS NOT NULL"
        )
    app.loader.import_default_modules()
    outcomes = {entry["task"]: run_twice(entry["task"]) for entry in app.conf.beat_schedule.values()}
    assert not [each for each in outcomes.values() if any(isinstance(one, Exception) for one in each)], outcomes
    assert [message.to for message in mail.outbox] == [["ada@example.com"]]
    assert sum(outcomes["reservations.tasks.expire_due_holds"]) == len(due)
    assert sum(outcomes["inventory.tasks.record_ended_freezes"]) == 1
    assert OutboxEvent.objects.filter(type="InventoryUnfrozenEvent").count() == 1
    assert len(archived_rows("movement", tmp_path)) == len({row["id"] for row in archived_rows("movement", tmp_path)})
    assert not Movement.objects.filter(level__in=old).exists()
    assert_books_balance()
