"""Receivers that fail, in each way there is: what is recorded, when it is tried again, and when no more."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail
from pytest_django import Settings

from audit.models import AuditEntry, WebhookDelivery, WebhookSubscription
from audit.webhooks import managing, schedule, sending
from tests.audit.webhooks.receiver import HttpReceiver, wait_until
from tests.audit.webhooks.sender import attempts_of, make_due, publish, states_of, subscribe
from tests.audit.webhooks.sender import sending as sender
from tests.factories import ACTOR
from tests.staff import make_staff

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("_first_delay_of_minutes")]

FAILURES = {
    "/status/500": (500, "some"),
    "/status/404": (404, "some"),
    "/redirect": (307, ""),
    "/reset": (None, "Error"),
    "/cut": (None, "RemoteProtocolError"),
}


def test_each_failure_is_recorded_and_tried_again_after_the_first_delay() -> None:
    with HttpReceiver() as receiver, sender():
        webhooks = {path: subscribe(receiver.url(path)) for path in FAILURES}
        webhooks["nowhere"] = subscribe(receiver.url(host="no-such-host.invalid"))
        webhooks["closed"] = subscribe("http://127.0.0.1:1/")
        webhooks["large"] = subscribe(receiver.url("/large"))
        (event_id,) = publish("res-1")
        wait_until(lambda: all(attempts_of(webhook) for webhook in webhooks.values()))
    for path, (status, answer) in FAILURES.items():
        (attempt,) = attempts_of(webhooks[path])
        assert (attempt.status, attempt.is_delivered, attempt.number) == (status, False, 1), path
        assert answer in attempt.answer, path
    assert "was not found" in attempts_of(webhooks["nowhere"])[0].answer
    assert "ConnectionRefusedError" in attempts_of(webhooks["closed"])[0].answer
    (large,) = attempts_of(webhooks.pop("large"))
    assert (large.is_delivered, large.answer) == (True, "x" * 1024)
    for path, webhook in webhooks.items():
        delivery = WebhookDelivery.objects.get(subscription=webhook)
        (attempt,) = attempts_of(webhook)
        wait = delivery.due_at - attempt.at - timedelta(milliseconds=attempt.milliseconds)
        assert 0.89 < wait / schedule.DELAYS[0] < 1.2, path  # Jitter is a tenth; recording the attempt takes time.
        assert (delivery.state, delivery.attempts) == ("WAITING", 1)
    assert {request.path for request in receiver.requests} == {*FAILURES, "/large"}
    assert {request.id for request in receiver.requests} == {event_id}


def test_an_answer_that_is_not_complete_in_time_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "TIMEOUT_SECONDS", 1.0)
    with HttpReceiver() as receiver, sender():
        webhooks = [subscribe(receiver.url(path)) for path in ("/hang", "/drip")]
        publish("res-1")
        wait_until(lambda: all(attempts_of(webhook) for webhook in webhooks))
    for webhook in webhooks:
        (attempt,) = attempts_of(webhook)
        assert (attempt.status, attempt.is_delivered, attempt.number) == (None, False, 1)
        assert attempt.answer == "No complete answer within 1 seconds."
        assert attempt.milliseconds >= 1000
        assert [row[1:] for row in states_of(webhook)] == [("WAITING", 1)]


def test_an_attempt_is_repeated_with_the_same_id_and_body_and_a_new_signature() -> None:
    with HttpReceiver() as receiver, sender():
        receiver.answer = lambda request: "/status/500" if len(receiver.requests) < 3 else "/ok"
        webhook = subscribe(receiver.url())
        publish("res-1")
        for count in (1, 2):
            wait_until(lambda count=count: [row[2] for row in states_of(webhook)] == [count])
            assert WebhookSubscription.objects.get().failing_since
            time.sleep(1)  # Timestamps count whole seconds.
            make_due(webhook)
        wait_until(lambda: not states_of(webhook))
        requests = receiver.requests
    assert [attempt.number for attempt in attempts_of(webhook)] == [1, 2, 3]
    assert len({(request.id, request.body) for request in requests}) == 1
    assert len({request.headers["webhook-signature"] for request in requests}) == 3
    assert WebhookSubscription.objects.get().failing_since is None


def test_retry_after_delays_this_event_and_all_others_of_a_receiver_that_is_overloaded() -> None:
    with HttpReceiver() as receiver, sender():
        webhook = subscribe(receiver.url("/status/429?retry-after=600"))
        other = subscribe(receiver.url("/ok"))
        publish("res-1")
        wait_until(lambda: [row[1] for row in states_of(webhook)] == ["WAITING"])
        publish("res-2")
        receiver.wait_for(3)  # The second event for the other one.
        wait_until(lambda: len(states_of(webhook)) == 2)
        time.sleep(0.3)
        assert len(attempts_of(webhook)) == 1
        assert len(attempts_of(other)) == 2
    delivery = WebhookDelivery.objects.filter(subscription=webhook).earliest("id")
    least = attempts_of(webhook)[0].at + timedelta(seconds=600)
    assert least <= delivery.due_at <= least + timedelta(seconds=10)
    webhook.refresh_from_db()
    assert webhook.quiet_until
    assert least <= webhook.quiet_until <= least + timedelta(seconds=10)


def test_410_disables_at_once_with_a_mail_and_resuming_goes_on(settings: Settings) -> None:
    manager = make_staff("administrator")
    manager.email = "manager@example.com"
    manager.save()
    viewer = make_staff("viewer")
    viewer.email = "viewer@example.com"
    viewer.save()
    with HttpReceiver() as receiver, sender():
        webhook = subscribe(receiver.url())
        receiver.answer = lambda request: "/status/410"
        publish("res-1")
        wait_until(lambda: WebhookSubscription.objects.get().notified_at)
        publish("res-2")
        webhook.refresh_from_db()
        assert (webhook.status, webhook.disabled_because) == ("disabled", "gone")
        (message,) = mail.outbox
        assert message.to == ["manager@example.com"]
        assert "410" in message.body
        assert receiver.url() in message.body
        assert AuditEntry.objects.filter(action="inventory_webhook_disabled", subject_id=webhook.pk).count() == 1
        time.sleep(0.3)
        assert len(receiver.requests) == 1
        receiver.answer = None
        managing.change(ACTOR, webhook.pk, {"status": "active"})
        receiver.wait_for(3)
        wait_until(lambda: not states_of(webhook))
    assert [request.event["key"] for request in receiver.requests].count("res-1") == 2
    webhook.refresh_from_db()
    assert (webhook.status, webhook.disabled_because, webhook.failing_since) == ("active", "", None)


def test_one_mail_is_sent_by_several_senders_and_again_if_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = make_staff("administrator")
    manager.email = "manager@example.com"
    manager.save()
    webhook = subscribe("http://127.0.0.1:1/")
    WebhookSubscription.objects.update(disabled_at=datetime.now(UTC), disabled_because="gone")
    sent: list[str] = []

    def send(subject: str, *_: object) -> None:
        sent.append(subject)
        if len(sent) == 1:
            raise OSError("no mail server")
        time.sleep(0.3)

    monkeypatch.setattr("audit.webhooks.notices.send_mail", send)
    monkeypatch.setattr("audit.webhooks.running._NOTICE_SECONDS", 0.5)
    with sender(), sender():
        wait_until(lambda: WebhookSubscription.objects.get().notified_at)
        time.sleep(1.2)
    assert len(sent) == 2
    webhook.refresh_from_db()
    assert webhook.status == "disabled"


def test_five_days_without_a_success_disable_with_a_mail() -> None:
    with HttpReceiver() as receiver, sender():
        webhook = subscribe(receiver.url("/status/503"))
        publish("res-1")
        wait_until(lambda: WebhookSubscription.objects.get().failing_since)
        began = datetime.now(UTC) - timedelta(days=5, minutes=1)
        WebhookSubscription.objects.update(failing_since=began, version=webhook.version + 1)
        receiver.wait_for(1)
        publish("res-2")
        wait_until(lambda: WebhookSubscription.objects.get().notified_at)
    webhook.refresh_from_db()
    assert (webhook.status, webhook.disabled_because) == ("disabled", "failing")
    assert {state for _, state, _ in states_of(webhook)} == {"WAITING"}


def test_after_ten_attempts_an_event_is_given_up_and_can_be_sent_again() -> None:
    with HttpReceiver() as receiver, sender():
        webhook = subscribe(receiver.url("/status/500"))
        publish("res-1")
        wait_until(lambda: states_of(webhook) == [("res-1", "WAITING", 1)])
        WebhookDelivery.objects.update(attempts=9)
        make_due(webhook)
        wait_until(lambda: states_of(webhook) == [("res-1", "FAILED", 10)])
        receiver.answer = lambda request: "/ok"
        queued = managing.resend_failed(ACTOR, webhook.pk)
        assert isinstance(queued, managing.Queued)
        assert queued.count == 1
        wait_until(lambda: not states_of(webhook))
    assert len(receiver.requests) == 3


def test_what_waits_is_sent_soon_once_a_receiver_answers_again() -> None:
    """An outage of hours doesn't add the hours of the schedule to itself."""
    with HttpReceiver() as receiver, sender():
        webhook = subscribe(receiver.url())
        receiver.answer = lambda request: "/status/500"
        publish("res-1")
        wait_until(lambda: states_of(webhook) == [("res-1", "WAITING", 1)])
        hours = timedelta(hours=6)
        now = datetime.now(UTC)
        WebhookDelivery.objects.update(due_at=now + hours, attempts=6)
        WebhookSubscription.objects.update(failing_since=now - hours, version=webhook.version + 1)
        receiver.answer = None
        publish("res-2")
        wait_until(lambda: WebhookSubscription.objects.get().failing_since is None)
        (delivery,) = WebhookDelivery.objects.all()
    assert (delivery.key, delivery.attempts) == ("res-1", 5)
    assert delivery.due_at < now + timedelta(minutes=3)
