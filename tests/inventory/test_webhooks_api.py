"""The routes of webhooks: what they take, answer and refuse."""

from collections.abc import Callable
from typing import Any

import pytest
from standardwebhooks import Webhook
from uuid_utils.compat import uuid7

from audit import feed
from audit.models import AuditEntry, IdempotencyKey, WebhookAttempt, WebhookDelivery, WebhookReplay, WebhookSubscription
from audit.roles import Role
from audit.webhooks import keys
from tests.audit.feed.reading import events_after
from tests.conftest import Api
from tests.contract.problems import pointers, problem
from tests.factories import make_product, make_store, receive

pytestmark = pytest.mark.django_db
WEBHOOKS = "/api/v1/webhooks"
URL = "https://example.com/hook"


def created(api: Api, **fields: Any) -> dict[str, Any]:
    answer = api.post(WEBHOOKS, {"name": "shop", "url": URL, **fields})
    assert answer.status_code == 201, answer.content
    return answer.json()  # type: ignore[attr-defined,no-any-return]


def read(api: Api, webhook_id: str) -> dict[str, Any]:
    return api.get(f"{WEBHOOKS}/{webhook_id}").json()  # type: ignore[attr-defined,no-any-return]


def test_a_webhook_is_added_with_a_secret_that_is_shown_once(api: Api) -> None:
    made = created(api)
    assert made["secret"].startswith("whsec_")
    (public,) = made["publicKeys"]
    assert public.startswith("whpk_")
    assert (made["status"], made["types"], made["storeIds"], made["productIds"]) == ("active", [], [], [])
    assert (made["fifo"], made["waiting"], made["failed"], made["version"]) == (False, 0, 0, 1)
    shown = read(api, made["webhookId"])
    assert "secret" not in shown
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    stored = str(WebhookSubscription.objects.values().get())
    assert made["secret"] not in stored
    assert "whsk_" not in stored
    Webhook(made["secret"])
    assert api.get(WEBHOOKS).json() == {"items": [shown], "next": None}  # type: ignore[attr-defined]


def test_a_secret_is_not_kept_with_an_idempotency_key(api: Api) -> None:
    body = {"name": "shop", "url": URL}
    first = api.post(WEBHOOKS, body, Idempotency_Key="k")
    again = api.post(WEBHOOKS, body, Idempotency_Key="k")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == {**first.json(), "secret": None}  # type: ignore[attr-defined]
    rotated = api.post(f"{WEBHOOKS}/{first.json()['webhookId']}/rotate", {}, Idempotency_Key="r")  # type: ignore[attr-defined]
    assert rotated.json()["secret"].startswith("whsec_")  # type: ignore[attr-defined]
    assert all(b"whsec_" not in bytes(key.body) for key in IdempotencyKey.objects.all())
    assert "whsec_" not in str(AuditEntry.objects.values_list("changes", flat=True))


@pytest.mark.parametrize(
    ("fields", "status", "pointer"),
    [
        ({"url": "https://10.0.0.1/"}, 400, "/url"),
        ({"url": "ftp://example.com/"}, 400, "/url"),
        ({"url": "https://user:word@example.com/"}, 400, "/url"),
        ({"url": ""}, 400, "/url"),
        ({"types": ["NoSuchEvent"]}, 400, "/types"),
        ({"types": ["InventoryReservedEvent\0"]}, 400, "/types/0"),
        ({"storeIds": ["nowhere"]}, 422, "/storeIds"),
        ({"productIds": [str(uuid7())]}, 422, "/productIds"),
        ({"name": " "}, 400, "/name"),
        ({"status": "disabled"}, 400, "/status"),
        ({"after": "x"}, 400, "/after"),
        ({"after": "7.7.7"}, 400, "/after"),
        ({"after": "1.1.1", "since": "2026-01-01T00:00:00Z"}, 400, "/since"),
    ],
)
def test_a_webhook_that_can_not_be_meant_is_refused(
    api: Api, fields: dict[str, Any], status: int, pointer: str
) -> None:
    answer = api.post(WEBHOOKS, {"name": "shop", "url": URL, **fields})
    problem(answer, status)
    assert pointers(answer)[0] == pointer
    assert not WebhookSubscription.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_webhook_begins_where_it_is_told(api: Api) -> None:
    make_store("main", "wh-001")
    product = make_product()
    oldest = feed.cursor_oldest()
    receive(product, 1)
    feed.tick()
    made = created(api, after=str(oldest))
    assert WebhookSubscription.objects.get(pk=made["webhookId"][5:]).cursor == str(oldest)
    now = created(api)
    assert WebhookSubscription.objects.get(pk=now["webhookId"][5:]).cursor == str(feed.cursor_now())


def test_fields_are_replaced_one_by_one(api: Api) -> None:
    make_store("main", "wh-001")
    product = make_product()
    made = created(api)
    path = f"{WEBHOOKS}/{made['webhookId']}"
    changes = {"url": "https://example.org/", "types": ["InventoryReservedEvent"], "productIds": [str(product.pk)]}
    answer = api.patch(path, {**changes, "storeIds": ["main"], "fifo": True})
    assert answer.status_code == 200
    expected = {**made, **changes, "storeIds": ["main"], "fifo": True, "version": 2}
    expected.pop("secret")
    assert answer.json() == expected  # type: ignore[attr-defined]
    assert answer.headers["ETag"].startswith('"2-')
    assert api.patch(path, {"fifo": True}).json()["version"] == 2  # type: ignore[attr-defined]
    stale = api.patch(path, {"name": "other"}, If_Match='"1"')
    problem(stale, 409, "version_conflict")
    assert api.patch(path, {"name": "other", "expectedVersion": 2}).json()["name"] == "other"  # type: ignore[attr-defined]
    problem(api.patch(path, {"url": "http://[::1]:99999/"}), 400)
    assert AuditEntry.objects.filter(action="inventory_webhook_changed").count() == 2


def test_a_webhook_is_paused_resumed_and_deleted(api: Api) -> None:
    made = created(api)
    path = f"{WEBHOOKS}/{made['webhookId']}"
    assert api.patch(path, {"status": "paused"}).json()["status"] == "paused"  # type: ignore[attr-defined]
    WebhookSubscription.objects.update(disabled_at="2026-01-01T00:00:00Z", disabled_because="gone")
    shown = read(api, made["webhookId"])
    assert (shown["status"], shown["disabledReason"]) == ("disabled", "gone")
    for command, body in (("test", {}), ("resend", {"failed": True})):
        problem(api.post(f"{path}/{command}", body), 409, "webhook_disabled")
    resumed = api.patch(path, {"status": "active"}).json()  # type: ignore[attr-defined]
    assert (resumed["status"], resumed["disabledReason"]) == ("active", None)
    assert api.delete(path).json() == {"webhookId": made["webhookId"]}  # type: ignore[attr-defined]
    problem(api.get(path), 404, "not_found")
    problem(api.delete(path), 404, "not_found")


def test_secrets_are_replaced_with_an_overlap(api: Api) -> None:
    made = created(api)
    path = f"{WEBHOOKS}/{made['webhookId']}/rotate"
    rotated = api.post(path, {"overlapHours": 1}).json()  # type: ignore[attr-defined]
    assert rotated["secret"] != made["secret"]
    assert rotated["publicKeys"][1:] == made["publicKeys"]
    kept = keys.load(WebhookSubscription.objects.get().keys)
    assert [(key.scheme, key.ends_at is None) for key in kept] == [
        ("v1", True),
        ("v1a", True),
        ("v1", False),
        ("v1a", False),
    ]
    for _ in range(3):
        assert api.post(path, None).status_code == 200
    problem(api.post(path, {}), 409, "too_many_secrets")
    ended = api.post(path, {"overlapHours": 0}).json()  # type: ignore[attr-defined]
    assert len(ended["publicKeys"]) == 1
    problem(api.post(path, {"overlapHours": 169}), 400)


@pytest.mark.django_db(transaction=True)
def test_events_are_queued_to_be_sent_again(api: Api) -> None:
    make_store("main", "wh-001")
    feed.tick()
    made = created(api)
    path = f"{WEBHOOKS}/{made['webhookId']}"
    receive(make_product(), 1)
    feed.tick()
    event = events_after(feed.cursor_oldest())[-1]
    answer = api.post(f"{path}/resend", {"eventId": f"ev-{event.event_id}"})
    assert (answer.status_code, answer.json()["eventId"]) == (202, f"ev-{event.event_id}")  # type: ignore[attr-defined]
    assert WebhookDelivery.objects.get().type == event.type
    assert read(api, made["webhookId"])["waiting"] == 1
    WebhookDelivery.objects.update(state="FAILED")
    assert read(api, made["webhookId"])["failed"] == 1
    assert api.post(f"{path}/resend", {"failed": True}).json()["count"] == 1  # type: ignore[attr-defined]
    assert WebhookDelivery.objects.get().state == "WAITING"
    tested = api.post(f"{path}/test", None)
    assert tested.status_code == 202
    assert WebhookDelivery.objects.get(type="WebhookTestEvent").event_id
    now = event.created_at.isoformat().replace("+00:00", "Z")
    assert api.post(f"{path}/resend", {"since": now}).status_code == 202
    assert WebhookReplay.objects.count() == 1
    for body in ({}, {"failed": True, "since": now}, {"since": now, "until": now}, {"until": now, "failed": True}):
        problem(api.post(f"{path}/resend", body), 400)
    problem(api.post(f"{path}/resend", {"eventId": f"ev-{uuid7()}"}), 404, "not_found")
    problem(api.post(f"{path}/resend", {"eventId": "x"}), 400)


def test_attempts_are_listed_the_newest_first(api: Api) -> None:
    made = created(api)
    event_ids = [uuid7() for _ in range(3)]
    for number, event_id in enumerate(event_ids, 1):
        WebhookAttempt.objects.create(
            at="2026-01-15T10:00:00Z",
            subscription_id=made["webhookId"][5:],
            event_id=event_id,
            type="InventoryReservedEvent",
            key="res-1",
            cursor="1.2.3",
            number=number,
            url=URL,
            request={"webhook-id": "x"},
            bytes=10,
            status=None if number == 2 else 204,
            answer="No complete answer" if number == 2 else "",
            milliseconds=5,
            is_delivered=number != 2,
        )
    path = f"{WEBHOOKS}/{made['webhookId']}/attempts"
    listed = api.get(f"{path}?limit=2").json()  # type: ignore[attr-defined]
    assert [item["number"] for item in listed["items"]] == [3, 2]
    following = api.get(f"{path}?limit=2&cursor={listed['next']}").json()  # type: ignore[attr-defined]
    assert [item["number"] for item in following["items"]] == [1]
    assert [item["number"] for item in api.get(f"{path}?delivered=false").json()["items"]] == [2]  # type: ignore[attr-defined]
    (one,) = api.get(f"{path}?eventId=ev-{event_ids[0]}").json()["items"]  # type: ignore[attr-defined]
    assert one["eventId"] == f"ev-{event_ids[0]}"
    assert (one["status"], one["delivered"], one["requestHeaders"]) == (204, True, {"webhook-id": "x"})


def test_a_client_of_some_stores_keeps_webhooks_of_these_stores_alone(make_api: Callable[..., Api]) -> None:
    make_store("main", "wh-001")
    make_store("outlet", "wh-002", is_default=False)
    everything, outlet = make_api(), make_api(Role.MANAGER, stores=("outlet",))
    whole, main = created(everything), created(everything, storeIds=["main"])
    both = created(everything, storeIds=["main", "outlet"])
    own = created(outlet)
    assert own["storeIds"] == ["outlet"]
    assert [item["webhookId"] for item in outlet.get(WEBHOOKS).json()["items"]] == [own["webhookId"]]  # type: ignore[attr-defined]
    assert len(everything.get(WEBHOOKS).json()["items"]) == 4  # type: ignore[attr-defined]
    for other in (whole, main, both):
        path = f"{WEBHOOKS}/{other['webhookId']}"
        for answer in (
            outlet.get(path),
            outlet.patch(path, {"name": "mine"}),
            outlet.delete(path),
            outlet.get(f"{path}/attempts"),
            outlet.post(f"{path}/test", {}),
            outlet.post(f"{path}/rotate", {}),
            outlet.post(f"{path}/resend", {"failed": True}),
        ):
            problem(answer, 404, "not_found")
    problem(outlet.post(WEBHOOKS, {"name": "x", "url": URL, "storeIds": ["main"]}), 422, "unknown_store")
    problem(outlet.patch(f"{WEBHOOKS}/{own['webhookId']}", {"storeIds": []}), 403, "permission_denied")
    problem(outlet.patch(f"{WEBHOOKS}/{own['webhookId']}", {"storeIds": ["main"]}), 422, "unknown_store")


def test_there_is_a_most_of_webhooks(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.webhooks.managing.MOST_WEBHOOKS", 1)
    created(api)
    problem(api.post(WEBHOOKS, {"name": "shop", "url": URL}), 409, "too_many_webhooks")
