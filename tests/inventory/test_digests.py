"""Low-stock mails: one per warehouse and subscriber, only if there is news, without snoozed alerts."""

import smtplib
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import ClassVar
from zoneinfo import ZoneInfo

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Permission, User
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.message import EmailMessage, EmailMultiAlternatives
from django.db.models import F
from django.utils import timezone

from audit.models import StaffAccess
from config.celery import app
from inventory.models import AlertSubscription, LowStockAlert, StockLevel
from inventory.services.low_stock import alerts as low_stock
from inventory.services.low_stock import digests
from inventory.services.stock.adjustments import Adjustment, AdjustRequest, apply_adjustments
from inventory.tasks import check_low_stock
from tests.factories import ACTOR, hold, make_level, make_warehouse
from tests.staff import make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def subscribe(email: str = "ada@example.com", warehouse: str = "wh-001", user: User | None = None) -> None:
    """Subscribe an address, or an account, which has this address from then on."""
    AlertSubscription.objects.create(warehouse=make_warehouse(warehouse), email=email, user=user)
    if user:
        User.objects.filter(pk=user.pk).update(email=email)


def low(available: int = 15, warehouse: str = "wh-001", name: str = "Tent") -> StockLevel:
    """A level that is low at 20 and critical at 2, and has an alert."""
    level = make_level(100, warehouse, reorder_point=20)
    level.product.name = name
    level.product.save()
    hold((level, 100 - available))
    return level


def later(by: timedelta) -> None:
    """Move the times of mailed alerts into the past: tests move rows, never clocks."""
    LowStockAlert.objects.filter(notified_at__isnull=False).update(notified_at=F("notified_at") - by)


def texts() -> list[str]:
    return [str(message.body) for message in mail.outbox]


def html_of(message: EmailMessage) -> str:
    assert isinstance(message, EmailMultiAlternatives)
    ((content, kind),) = message.alternatives
    assert kind == "text/html"
    return str(content)


def test_a_mail_names_what_is_low_and_what_to_order_in_text_and_html() -> None:
    subscribe()
    level = low(15)
    assert digests.send_digests() == 1
    (message,) = mail.outbox
    assert message.to == ["ada@example.com"]
    assert message.subject == "Low stock in wh-001: 0 critical, 1 low"
    for content in (message.body, html_of(message)):
        for fact in ("Tent", level.product.sku, "15", "20", "75.0", "no sales", "New"):
            assert fact.lower() in content.lower(), fact
    assert "order 8" in message.body


def test_the_html_asks_no_other_machine_and_escapes_names() -> None:
    subscribe()
    low(name="<script>alert(1)</script> & Co")
    digests.send_digests()
    content = html_of(mail.outbox[0])
    assert "<script" not in content
    assert "&lt;script&gt;" in content
    assert not any(word in content for word in ("http:", "https:", "<img", "url(", "src="))
    assert "<script>alert(1)</script> & Co" in str(mail.outbox[0].body)


def test_an_alert_is_not_mailed_again_until_the_reminder(settings: LazySettings) -> None:
    settings.LOW_STOCK_REMINDER_HOURS = 24
    subscribe()
    low()
    assert [digests.send_digests() for _ in range(3)] == [1, 0, 0]
    later(timedelta(hours=23))
    assert digests.send_digests() == 0
    later(timedelta(hours=2))
    assert digests.send_digests() == 1
    assert "STILL OPEN" in texts()[-1]
    assert digests.send_digests() == 0


def test_an_acknowledged_alert_is_no_reason_for_a_reminder_but_named_with_news() -> None:
    subscribe()
    low(name="Tent")
    digests.send_digests()
    low_stock.acknowledge(LowStockAlert.objects.get().id, ACTOR)
    later(timedelta(days=30))
    assert digests.send_digests() == 0
    low(name="Stove")
    assert digests.send_digests() == 1
    text = texts()[-1]
    assert text.index("NEW") < text.index("Stove") < text.index("STILL OPEN") < text.index("Tent")
    assert f"assigned to {ACTOR.name}" in text


def test_what_became_critical_is_news_even_if_it_was_acknowledged_or_snoozed() -> None:
    subscribe()
    level = low(15)
    digests.send_digests()
    alert = LowStockAlert.objects.get()
    low_stock.acknowledge(alert.id, ACTOR)
    low_stock.snooze(alert.id, timezone.now() + timedelta(days=1), ACTOR)
    hold((level, 14))
    assert digests.send_digests() == 1
    assert "BECAME CRITICAL" in texts()[-1]
    assert mail.outbox[-1].subject.endswith("1 critical, 0 low")


def test_a_snoozed_alert_is_left_out_until_the_snooze_ends() -> None:
    subscribe()
    low(name="Tent")
    alert = LowStockAlert.objects.get()
    low_stock.snooze(alert.id, timezone.now() + timedelta(days=1), ACTOR)
    assert digests.send_digests() == 0
    low(name="Stove")
    assert digests.send_digests() == 1
    assert "Tent" not in texts()[-1]
    LowStockAlert.objects.filter(pk=alert.pk).update(snoozed_until=timezone.now() - timedelta(seconds=1))
    assert digests.send_digests() == 1
    assert "Tent" in texts()[-1]


def test_an_alert_snoozed_after_its_mail_is_mailed_again_when_the_snooze_ends() -> None:
    subscribe()
    low()
    digests.send_digests()
    later(timedelta(hours=2))
    LowStockAlert.objects.update(snoozed_until=timezone.now() - timedelta(hours=1))
    assert [digests.send_digests() for _ in range(2)] == [1, 0]


def test_resolved_alerts_are_not_mailed() -> None:
    subscribe()
    level = low()
    line = Adjustment(level.product_id, None, "wh-001", 100, "RECEIPT", "r")
    apply_adjustments(AdjustRequest(ACTOR, (line,)))
    assert check_low_stock() == 0
    assert not LowStockAlert.objects.unresolved().exists()


def test_each_subscriber_gets_a_mail_of_their_own_warehouse_only() -> None:
    subscribe("ada@example.com", "wh-001")
    subscribe("bob@example.com", "wh-001")
    subscribe("eve@example.com", "wh-002")
    subscribe("dan@example.com", "wh-003")
    low(warehouse="wh-001", name="Tent")
    low(warehouse="wh-002", name="Stove")
    assert digests.send_digests() == 3
    got = {tuple(message.to): "Tent" in str(message.body) for message in mail.outbox}
    assert got == {("ada@example.com",): True, ("bob@example.com",): True, ("eve@example.com",): False}


LOST: dict[str, Callable[[User], object]] = {
    "the account is deactivated": lambda user: User.objects.filter(pk=user.pk).update(is_active=False),
    "the account is no longer staff": lambda user: User.objects.filter(pk=user.pk).update(is_staff=False),
    "the group is lost": lambda user: user.groups.clear(),
    "the group's permission is lost": lambda user: user.groups.get().permissions.clear(),
    "the account is limited to another warehouse": lambda user: limit(user, "wh-002"),
    "no warehouse was ever given": lambda user: StaffAccess.objects.filter(user=user).delete(),
    "no warehouse is left": lambda user: StaffAccess.objects.filter(user=user).update(warehouse_codes=[]),
    "the address is gone": lambda user: User.objects.filter(pk=user.pk).update(email=""),
}


def limit(user: User, *warehouses: str) -> None:
    limits = {"all_warehouses": not warehouses, "warehouse_codes": list(warehouses)}
    StaffAccess.objects.update_or_create(user=user, defaults=limits)


@pytest.mark.parametrize("lose", LOST.values(), ids=LOST)
def test_person_without_the_right_gets_no_mail(lose: Callable[[User], object]) -> None:
    user = make_staff("viewer", "wh-001")
    subscribe(user=user)
    low()
    lose(user)
    assert digests.send_digests() == 0
    assert LowStockAlert.objects.get().notified_at is None


def test_mail_goes_once_to_the_present_address_of_the_account() -> None:
    user = make_staff("viewer", "wh-001")
    subscribe("old@example.com", user=user)
    subscribe("Office@example.com")
    low()
    User.objects.filter(pk=user.pk).update(email="office@example.com")
    assert digests.send_digests() == 1
    assert [message.to for message in mail.outbox] == [["Office@example.com"]]


@pytest.mark.parametrize("group", ["", "viewer", "manager"])
@pytest.mark.parametrize("warehouses", [(), ("wh-001",), ("wh-001", "wh-002")])
def test_person_with_the_right_gets_mail(group: str, warehouses: tuple[str, ...]) -> None:
    subscribe(user=make_staff(group, *warehouses))
    low()
    assert digests.send_digests() == 1


def test_permission_of_the_person_alone_is_enough() -> None:
    user = User.objects.create(username="ada", is_staff=True)
    limit(user)
    user.user_permissions.add(Permission.objects.get(codename="add_alertsubscription"))
    subscribe(user=user)
    low()
    assert digests.send_digests() == 1


def test_right_that_is_lost_while_others_are_mailed_counts(settings: LazySettings) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.LimitingBackend"
    for name in ("ada", "bob"):
        subscribe(f"{name}@example.com", user=make_staff("viewer", name=name))
    low()
    assert digests.send_digests() == 1
    assert [message.to for message in LimitingBackend.sent] == [["ada@example.com"]]


class LimitingBackend(BaseEmailBackend):
    """A mail server so slow that everybody is limited to another warehouse after the first mail."""

    sent: ClassVar[list[EmailMessage]] = []

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        self.sent[:] = email_messages
        for user in User.objects.all():
            limit(user, "wh-002")
        return len(email_messages)


def test_a_long_digest_counts_what_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "MOST_LINES", 2)
    subscribe()
    for available in (15, 1, 16, 17):
        low(available)
    digests.send_digests()
    assert "and 2 more" in texts()[0]
    assert mail.outbox[0].subject.endswith("1 critical, 3 low")
    assert texts()[0].index("CRITICAL") < texts()[0].index("LOW  ")
    assert digests.send_digests() == 0


class RefusingBackend(BaseEmailBackend):
    """A mail server that accepts mail for one address only."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        for message in email_messages:
            if message.to != ["bob@example.com"]:
                raise smtplib.SMTPRecipientsRefused({})
        return len(email_messages)


def test_an_address_that_is_refused_stops_no_other(settings: LazySettings) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.RefusingBackend"
    subscribe("ada@example.com")
    subscribe("bob@example.com")
    low()
    assert [digests.send_digests() for _ in range(2)] == [1, 0]


def test_a_mail_that_was_not_delivered_is_tried_again(settings: LazySettings) -> None:
    backend, settings.EMAIL_BACKEND = settings.EMAIL_BACKEND, f"{__name__}.RefusingBackend"
    subscribe()
    low()
    assert digests.send_digests() == 0
    assert LowStockAlert.objects.get().notified_at is None
    settings.EMAIL_BACKEND = backend
    assert digests.send_digests() == 1


def test_a_mail_that_could_not_be_made_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    subscribe()
    low()
    with monkeypatch.context() as broken:
        broken.setattr(digests, "_TITLES", {})
        with pytest.raises(KeyError):
            digests.send_digests()
    assert digests.send_digests() == 1


def test_the_beat_finds_resolves_and_mails() -> None:
    subscribe()
    level = make_level(10)
    StockLevel.objects.filter(pk=level.pk).update(reorder_point=20)
    assert check_low_stock() == 1
    assert check_low_stock() == 0


def test_the_beat_checks_every_30_minutes() -> None:
    entry = app.conf.beat_schedule["check-low-stock"]
    assert (entry["task"], entry["schedule"]) == (check_low_stock.name, 1800)
    assert entry["options"]["expires"] == 1800


def test_templates_are_in_the_image() -> None:
    root = Path(__file__).resolve().parent.parent.parent
    assert "!templates/" in (root / ".dockerignore").read_text().split()


def test_times_are_those_of_the_subscriber_and_name_their_zone() -> None:
    subscribe("ada@example.com")
    subscribe("bob@example.com")
    subscribe("eve@example.com")
    AlertSubscription.objects.filter(email="ada@example.com").update(time_zone="Asia/Kathmandu")
    AlertSubscription.objects.filter(email="eve@example.com").update(time_zone="Nowhere/Else")
    low()
    assert digests.send_digests() == 3
    notified_at = LowStockAlert.objects.values_list("notified_at", flat=True).get()
    assert notified_at is not None
    for message, name in zip(mail.outbox, ("Asia/Kathmandu", "UTC", "UTC"), strict=True):
        there = notified_at.astimezone(ZoneInfo(name))
        for content in (str(message.body), html_of(message)):
            assert f"{there:{there.day} %b %Y, %H:%M} ({name})" in content
            assert f"Times are in {name}." in content
            assert name == "UTC" or "UTC" not in content
