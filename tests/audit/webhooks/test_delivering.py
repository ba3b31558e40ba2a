"""What is sent to whom, in which order, how fast, and what of it survives."""

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import redis
from django.conf import settings
from django.db import connection
from uuid_utils.compat import uuid7

from audit import feed
from audit.errors import NotFound
from audit.models import OutboxEvent, WebhookDelivery, WebhookSubscription
from audit.webhooks import managing, queue
from audit.webhooks.tending import tend_webhooks
from tests.audit.webhooks.receiver import HttpReceiver, wait_until
from tests.audit.webhooks.sender import attempts_of, make_due, publish, sending, states_of, subscribe
from tests.factories import ACTOR, make_store

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("_first_delay_of_minutes")]
ROOT = Path(__file__).resolve().parent.parent.parent.parent
ONE, TWO = "550e8400-e29b-41d4-a716-446655440000", "660e8400-e29b-41d4-a716-446655440000"


def keys(receiver: HttpReceiver, path: str = "/ok") -> list[str]:
    return [request.event["key"] for request in receiver.requests if request.path == path]


def test_a_subscription_gets_what_passes_its_filter() -> None:
    make_store("main", "wh-001")
    make_store("outlet", "wh-002", is_default=False)
    filters: dict[str, dict[str, Any]] = {
        "all": {},
        "types": {"types": ["InventoryReleasedEvent"]},
        "store": {"store_codes": ["outlet"]},
        "product": {"product_ids": [UUID(ONE)]},
        "both": {"store_codes": ["outlet"], "product_ids": [UUID(ONE), UUID(TWO)]},
    }
    with HttpReceiver() as receiver, sending():
        for name, fields in filters.items():
            subscribe(receiver.url(f"/{name}"), **fields)
        publish("1", storeId="main", items=[{"productId": ONE, "quantity": 1, "warehouseId": "wh-001"}])
        publish("2", of_type="InventoryReleasedEvent", storeId="outlet", items=[{"productId": TWO}])
        publish("3", of_type="StockAdjustedEvent", warehouseId="wh-002", productId=ONE)
        publish("4", of_type="StockAdjustedEvent", warehouseId="wh-001", productId=TWO, variantId=ONE)
        publish("5", of_type="InventoryTransferredEvent", fromWarehouseId="wh-001", toWarehouseId="wh-002", items=[])
        receiver.wait_for(5 + 1 + 3 + 3 + 2)
        time.sleep(0.3)
    got = {name: sorted(keys(receiver, f"/{name}")) for name in filters}
    assert got == {
        "all": ["1", "2", "3", "4", "5"],
        "types": ["2"],
        "store": ["2", "3", "5"],
        "product": ["1", "3", "4"],
        "both": ["2", "3"],
    }


def test_sellable_of_other_stores_is_not_sent() -> None:
    make_store("main", "wh-001")
    make_store("outlet", "wh-001", is_default=False)
    with HttpReceiver() as receiver, sending():
        subscribe(receiver.url(), store_codes=["outlet"])
        publish("1", of_type="InventoryLevelChangedEvent", warehouseId="wh-001", sellable={"main": 3, "outlet": 2})
        (request,) = receiver.wait_for(1)
    assert request.event["data"]["sellable"] == {"outlet": 2}


def test_an_event_that_is_too_large_is_sent_with_the_path_to_read_it() -> None:
    with HttpReceiver() as receiver, sending():
        webhook = subscribe(receiver.url())
        publish("small", note="x" * 19_000)
        publish("large", note="x" * 20_000)
        receiver.wait_for(2)
        wait_until(lambda: not states_of(webhook))
    by_key = {request.event["key"]: request for request in receiver.requests}
    assert all(len(request.body) < 20_000 for request in receiver.requests)
    assert len(by_key["small"].event["data"]["note"]) == 19_000
    data = by_key["large"].event["data"]
    assert (data["tooLarge"], data["eventId"], data["bytes"] > 20_000) == (True, by_key["large"].id, True)
    cursor = feed.Cursor.parse(data["path"].partition("after=")[2].partition("&")[0])
    (event,) = feed.read_after(cursor, 1).events
    assert f"ev-{event.event_id}" == by_key["large"].id


def test_ordered_events_of_a_key_wait_for_the_one_before_them() -> None:
    with HttpReceiver() as receiver, sending():
        webhook = subscribe(receiver.url(), fifo=True)
        receiver.answer = lambda request: "/status/500" if request.event["key"] == "bad" else "/ok"
        publish("bad", *["a", "b", "c"] * 5, "bad", "bad")
        publish("bad", "a")
        wait_until(lambda: len(keys(receiver)) == 17)
        wait_until(lambda: [row[0] for row in states_of(webhook)] == ["bad"] * 4)
        assert [row[1:] for row in states_of(webhook)] == [("WAITING", 1)] + [("BLOCKED", 0)] * 3
        WebhookDelivery.objects.filter(state="WAITING").update(attempts=10)
        make_due(webhook)
        wait_until(lambda: states_of(webhook)[0] == ("bad", "WAITING", 11))  # Never given up.
        receiver.answer = None
        make_due(webhook)
        wait_until(lambda: not states_of(webhook))
    order = defaultdict(list)
    for request in receiver.requests:
        order[request.event["key"]].append(request.event["data"]["n"])
    assert order["a"][:5] == sorted(order["a"][:5])
    assert order["bad"] == [1, 1, 1, 17, 18, 1]  # The last one is of another transaction.


def test_order_can_be_switched_on_and_off() -> None:
    with HttpReceiver() as receiver, sending():
        webhook = subscribe(receiver.url("/status/500"))
        publish("a", "a", "b")
        wait_until(lambda: [row[2] for row in states_of(webhook)] == [1, 1, 1])
        managing.change(ACTOR, webhook.pk, {"fifo": True})
        assert [row[1] for row in states_of(webhook)] == ["WAITING", "BLOCKED", "WAITING"]
        receiver.answer = lambda request: "/ok"
        publish("a")
        wait_until(lambda: len(states_of(webhook)) == 4)
        managing.change(ACTOR, webhook.pk, {"fifo": False})
        managing.resend_failed(ACTOR, webhook.pk)
        wait_until(lambda: not states_of(webhook))


def test_a_receiver_that_hangs_delays_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.webhooks.sending.TIMEOUT_SECONDS", 600)
    with HttpReceiver() as receiver, sending():
        hanging = [subscribe(receiver.url("/hang")) for _ in range(3)]
        for _ in range(2):
            subscribe(receiver.url("/ok"))
        publish(*map(str, range(300)))
        wait_until(lambda: len(keys(receiver, "/ok")) == 600)
        assert not [attempt for webhook in hanging for attempt in attempts_of(webhook)]
    assert len(keys(receiver, "/hang")) <= len(hanging) * 16


def test_flushall_of_redis_loses_nothing() -> None:
    with HttpReceiver() as receiver, sending():
        receiver.answer = lambda request: "/status/500"
        webhook = subscribe(receiver.url())
        publish("a")
        wait_until(lambda: states_of(webhook) == [("a", "WAITING", 1)])
        redis.Redis.from_url(settings.REDIS_URL).flushall()
        receiver.answer = None
        publish("b")
        make_due(webhook)
        wait_until(lambda: not states_of(webhook))
    assert sorted(keys(receiver)) == ["a", "a", "b"]


def test_two_senders_share_the_work_and_each_event_is_sent_once() -> None:
    with HttpReceiver() as receiver, sending(), sending():
        webhooks = [subscribe(receiver.url(f"/{n}"), fifo=True) for n in range(4)]
        for _ in range(5):
            publish("a", "b")
        receiver.wait_for(40)
        wait_until(lambda: not WebhookDelivery.objects.exists())
        time.sleep(0.2)
    for number in range(len(webhooks)):
        ids = [request.id for request in receiver.requests if request.path == f"/{number}"]
        assert len(ids) == len(set(ids)) == 10


@pytest.mark.parametrize("fifo", [False, True])
def test_a_killed_sender_loses_nothing_and_keeps_the_order(*, fifo: bool) -> None:
    with HttpReceiver() as receiver:
        webhook = subscribe(receiver.url(), fifo=fifo)
        ids: list[str] = []
        for round_ in range(3):
            process = start_sender()
            try:
                ids += publish(*[str(n % 20) for n in range(200)])
                receiver.wait_for(len(set(ids)) - 150 if round_ < 2 else 0)
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait()
        with sending():
            wait_until(lambda: {request.id for request in receiver.requests} == set(ids))
            wait_until(lambda: not states_of(webhook))
    by_id = {}
    for request in receiver.requests:
        assert by_id.setdefault(request.id, request.body) == request.body
    if fifo:
        place = {id_: n for n, id_ in enumerate(ids)}
        newest: dict[str, int] = {}
        seen: set[str] = set()
        for request in receiver.requests:
            if request.id not in seen:
                seen.add(request.id)
                assert place[request.id] > newest.get(request.event["key"], -1)
                newest[request.event["key"]] = place[request.id]


def start_sender() -> subprocess.Popen[bytes]:
    """A relay, as a process of its own on the database of the tests."""
    code = (
        "import django; from django.conf import settings;"
        f"settings.DATABASES['default']['NAME'] = {connection.settings_dict['NAME']!r};"
        "django.setup(); from django.core.management import call_command; call_command('relay_events')"
    )
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "EVENT_STREAM": ""})


def test_events_are_sent_again_one_or_those_of_a_time() -> None:
    with HttpReceiver() as receiver, sending():
        webhook = subscribe(receiver.url(), types=["InventoryReservedEvent"])
        before = publish("old")
        receiver.wait_for(1)
        wait_until(lambda: not states_of(webhook))
        time.sleep(0.01)
        middle = datetime.now(UTC)
        time.sleep(0.01)
        after = publish("new", "newer")
        publish("other", of_type="InventoryReleasedEvent")
        receiver.wait_for(3)
        managing.resend_event(ACTOR, webhook.pk, UUID(before[0][3:]))
        receiver.wait_for(4)
        managing.resend_since(ACTOR, webhook.pk, middle, None)
        receiver.wait_for(6)
        managing.resend_since(ACTOR, webhook.pk, middle - timedelta(minutes=1), middle)
        receiver.wait_for(7)
        wait_until(lambda: not states_of(webhook))
        sent = [request.id for request in receiver.requests[3:]]
        assert (sent[:1], sorted(sent[1:3]), sent[3:]) == (before, sorted(after), before)
        with pytest.raises(NotFound):
            managing.resend_event(ACTOR, webhook.pk, uuid7())
        released = OutboxEvent.objects.get(type="InventoryReleasedEvent").event_id
        with pytest.raises(NotFound):
            managing.resend_event(ACTOR, webhook.pk, released)


def test_an_event_that_was_never_tried_is_found_by_its_id() -> None:
    (event_id,) = publish("early")
    with HttpReceiver() as receiver, sending():
        webhook = subscribe(receiver.url())
        managing.resend_event(ACTOR, webhook.pk, UUID(event_id[3:]))
        (request,) = receiver.wait_for(1)
    assert request.id == event_id


def test_a_paused_webhook_sends_nothing_but_tests_and_goes_on_where_it_stopped() -> None:
    with HttpReceiver() as receiver, sending():
        webhook = subscribe(receiver.url())
        managing.change(ACTOR, webhook.pk, {"status": "paused"})
        publish("a")
        managing.send_test(ACTOR, webhook.pk)
        (test,) = receiver.wait_for(1)
        assert test.event["type"] == "WebhookTestEvent"
        wait_until(lambda: not states_of(webhook))
        time.sleep(0.3)
        assert len(receiver.requests) == 1
        managing.change(ACTOR, webhook.pk, {"status": "active"})
        receiver.wait_for(2)
    assert receiver.requests[1].event["key"] == "a"


def test_a_deleted_webhook_is_sent_nothing_more() -> None:
    with HttpReceiver() as receiver, sending():
        webhook = subscribe(receiver.url("/status/500"))
        publish("a")
        wait_until(lambda: len(attempts_of(webhook)) == 1)
        managing.delete(ACTOR, webhook.pk)
        publish("b")
        time.sleep(0.5)
    assert len(receiver.requests) == 1
    assert not WebhookDelivery.objects.exists()


def test_a_webhook_without_cursor_in_reach_notes_what_it_missed() -> None:
    publish("old")
    feed.tick()
    with HttpReceiver() as receiver:
        webhook = subscribe(receiver.url())
        WebhookSubscription.objects.update(cursor="0.0.0")
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM audit_tick WHERE number = 0")
        with sending():
            wait_until(lambda: WebhookSubscription.objects.get().missed_at)
            publish("new")
            receiver.wait_for(1)
    webhook.refresh_from_db()
    assert keys(receiver)[-1] == "new"


def test_while_nothing_is_acknowledged_most_events_stay_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.webhooks.courier._MOST_WAITING", 20)
    with HttpReceiver() as receiver, sending():
        webhook = subscribe(receiver.url("/status/500"))
        publish("first")
        wait_until(lambda: len(states_of(webhook)) == 1)
        for _ in range(10):
            publish(*map(str, range(10)))
        wait_until(lambda: len(states_of(webhook)) >= 20)
        time.sleep(1)
        assert len(states_of(webhook)) <= 24
        receiver.answer = lambda request: "/ok"
        managing.resend_failed(ACTOR, webhook.pk)
        wait_until(lambda: len(set(keys(receiver, "/status/500"))) == 11 and not states_of(webhook))
    assert len({request.id for request in receiver.requests}) == 101


def test_attempts_are_kept_by_day_and_dropped() -> None:
    with HttpReceiver() as receiver, sending():
        webhook = subscribe(receiver.url())
        publish("a")
        wait_until(lambda: attempts_of(webhook))
    tend_webhooks()
    names = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'audit_webhookattempt'::regclass"
    with connection.cursor() as cursor:
        cursor.execute(names)
        assert cursor.fetchone() == (4,)
        cursor.execute(
            "CREATE TABLE audit_webhookattempt_20200101 PARTITION OF audit_webhookattempt"
            " FOR VALUES FROM ('2020-01-01 00:00:00+00') TO ('2020-01-02 00:00:00+00')"
        )
        cursor.execute(
            "INSERT INTO audit_webhookattempt SELECT gen_random_uuid(), at - interval '31 days',"
            " subscription_id, event_id, type, key, cursor, number, url, request, bytes, status, answer,"
            " milliseconds, is_delivered FROM audit_webhookattempt"
        )
        tend_webhooks()
        cursor.execute(names)
        assert cursor.fetchone() == (4,)
        assert len(attempts_of(webhook)) == 1
        cursor.execute(
            "SELECT relname::text FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid"
            " WHERE inhparent = 'audit_webhookattempt'::regclass AND relname NOT LIKE '%default'"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP TABLE {name}")


def test_a_lock_that_is_held_elsewhere_is_waited_for() -> None:
    """Somebody holds a webhook's row: its sender waits, and others go on."""
    with HttpReceiver() as receiver, sending():
        held = subscribe(receiver.url("/held"))
        subscribe(receiver.url("/ok"))
        with psycopg.connect(**connection.get_connection_params()) as other:
            other.execute("SELECT FROM audit_webhooksubscription WHERE id = %s FOR UPDATE", [held.pk])
            publish("a")
            wait_until(lambda: keys(receiver, "/ok") == ["a"])
            assert keys(receiver, "/held") == []
        wait_until(lambda: keys(receiver, "/held") == ["a"])


def test_surveyed_locks_are_released() -> None:
    webhook = subscribe("http://127.0.0.1:1/")
    (found,) = queue.survey([])
    assert (found.id, found.is_mine) == (webhook.pk, True)
    queue.release([webhook.pk])
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
        assert cursor.fetchone() == (0,)
