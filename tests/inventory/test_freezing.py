"""Freezing: new holds of what is frozen are refused everywhere, existing ones are not affected."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.errors import Invalid, NotFound
from audit.roles import Role
from inventory.models import Product, StockLevel, Store, Warehouse
from inventory.services.catalogue import freezing
from inventory.services.catalogue.freezing import Subject
from tests.conftest import Api, body_of
from tests.factories import ACTOR, make_level, make_product, make_store, published, recorded

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["product", "warehouse", "store"])
def subject(request: Any) -> Subject:
    """Each kind of subject that can be frozen, with stock."""
    make_store("main", "wh-001")
    level = make_level(10)
    return {
        "product": freezing.product(level.product_id),
        "warehouse": freezing.warehouse("wh-001"),
        "store": freezing.store("main"),
    }[request.param]


def path(subject: Subject) -> str:
    return f"/api/v1/{subject.kind}s/{subject.key}"


def end_freeze(subject: Subject) -> None:
    """Move a freeze into the past: tests move rows, never clocks."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {subject.model._meta.db_table} SET frozen_at = now() - interval '2 hours', "
            "frozen_until = now() - interval '1 second' WHERE frozen_at IS NOT NULL"
        )


def test_the_end_of_a_freeze_is_recorded_once_with_its_event(subject: Subject) -> None:
    freezing.freeze(ACTOR, subject, reason="a recall", until=LATER)
    assert freezing.record_ended() == 0
    end_freeze(subject)
    assert (freezing.record_ended(), freezing.record_ended()) == (1, 0)
    (event,) = published("InventoryUnfrozenEvent")
    expected = {"subject": subject.kind.upper(), f"{subject.kind}Id": str(subject.key), "reason": ""}
    assert expected.items() <= event.items()
    (entry,) = recorded(f"inventory_{subject.kind}_unfrozen")
    assert entry.actor == "clock"
    row = subject.model._default_manager.get(**{"id" if subject.model is Product else "code": subject.key})
    assert (row.frozen_at, row.frozen_until, row.freeze_reason) == (None, None, "")


def test_a_freeze_is_audited_and_published_with_its_reason_and_end(subject: Subject) -> None:
    actor = Actor("manager", uuid7(), "request-1", "api")
    freezing.freeze(actor, subject, reason="a recall", until=LATER)
    (entry,) = recorded(f"inventory_{subject.kind}_frozen")
    assert (entry.actor, entry.request_id, entry.changes["reason"]) == ("manager", "request-1", "a recall")
    assert entry.changes["frozen_until"] == [None, "2100-01-01T00:00:00Z"]
    (event,) = published("InventoryFrozenEvent")
    expected = {"subject": subject.kind.upper(), f"{subject.kind}Id": str(subject.key), "reason": "a recall"}
    assert expected.items() <= event.items()
    assert event["until"] == "2100-01-01T00:00:00Z"


def test_lifting_it_is_audited_and_published(subject: Subject) -> None:
    freezing.freeze(ACTOR, subject, reason="a recall")
    freezing.unfreeze(ACTOR, subject, reason="false alarm")
    (entry,) = recorded(f"inventory_{subject.kind}_unfrozen")
    assert (entry.changes["reason"], entry.changes["freeze_reason"]) == ("false alarm", ["a recall", ""])
    assert published("InventoryUnfrozenEvent")[0]["reason"] == "false alarm"


def test_lifting_what_is_not_frozen_changes_nothing(subject: Subject) -> None:
    freezing.unfreeze(ACTOR, subject)
    assert not recorded(f"inventory_{subject.kind}_unfrozen")
    assert not published("InventoryUnfrozenEvent")


def test_freezing_again_gives_a_new_reason_and_keeps_since_when(subject: Subject) -> None:
    freezing.freeze(ACTOR, subject, reason="first", until=LATER)
    row: Any = subject.model._default_manager
    first = row.get().frozen_at
    freezing.freeze(ACTOR, subject, reason="second")
    after = row.get()
    assert (after.frozen_at, after.frozen_until, after.freeze_reason) == (first, None, "second")
    assert "frozen_at" not in recorded(f"inventory_{subject.kind}_frozen")[-1].changes


def test_freezing_again_after_its_end_is_a_new_freeze(subject: Subject) -> None:
    freezing.freeze(ACTOR, subject, reason="first", until=LATER)
    end_freeze(subject)
    rows: Any = subject.model._default_manager
    ended = rows.get().frozen_at
    freezing.freeze(ACTOR, subject, reason="second")
    assert rows.get().frozen_at - ended > HOUR


def test_a_freeze_ends_in_the_future(subject: Subject) -> None:
    with pytest.raises(Invalid) as refused:
        freezing.freeze(ACTOR, subject, reason="r", until=datetime.now(UTC) - HOUR)
    assert [fault.pointer for fault in refused.value.faults] == ["/until"]


@pytest.mark.parametrize(
    "nothing", [freezing.product(uuid7()), freezing.warehouse("nowhere"), freezing.store("nowhere")]
)
def test_only_existing_subjects_can_be_frozen(nothing: Subject) -> None:
    for change in (lambda: freezing.freeze(ACTOR, nothing, reason="r"), lambda: freezing.unfreeze(ACTOR, nothing)):
        with pytest.raises(NotFound):
            change()


# --- over HTTP -------------------------------------------------------------------------------------------------------


def test_it_is_frozen_read_and_lifted_over_http(api: Api, subject: Subject) -> None:
    assert body_of(api.get(path(subject)))["frozen"] is None
    body = {"reason": "a recall", "until": "2100-01-01T00:00:00Z"}
    frozen = body_of(api.post(f"{path(subject)}/freeze", body))
    assert body.items() <= frozen["frozen"].items()
    assert frozen["frozen"]["since"].endswith("Z")
    assert frozen == body_of(api.get(path(subject)))
    listed = body_of(api.get(f"/api/v1/{subject.kind}s"))["items"]
    assert [each["frozen"] for each in listed] == [frozen["frozen"]]
    lifted = body_of(api.post(f"{path(subject)}/unfreeze", {}))
    assert lifted == body_of(api.get(path(subject)))
    for answer in (lifted, frozen):
        answer.pop("updatedAt", None)  # Of a product, which each of both updates.
    assert lifted == {**frozen, "frozen": None}


def test_what_has_ended_reads_as_not_frozen(api: Api, subject: Subject) -> None:
    freezing.freeze(ACTOR, subject, reason="r", until=LATER)
    end_freeze(subject)
    assert body_of(api.get(path(subject)))["frozen"] is None


def test_replacing_the_row_keeps_the_freeze(api: Api, subject: Subject) -> None:
    freezing.freeze(ACTOR, subject, reason="r")
    bodies: dict[str, dict[str, Any]] = {
        "product": {"sku": "s", "name": "n"},
        "warehouse": {"name": "n", "type": "MAIN", "address": {}},
        "store": {"name": "n", "warehouses": []},
    }
    assert body_of(api.put(path(subject), bodies[subject.kind]))["frozen"]["reason"] == "r"


def test_a_retry_gets_the_first_answer_and_freezes_once(api: Api, subject: Subject) -> None:
    first = api.post(f"{path(subject)}/freeze", {"reason": "r"}, Idempotency_Key="k")
    again = api.post(f"{path(subject)}/freeze", {"reason": "r"}, Idempotency_Key="k")
    assert (again.content, again.headers["Idempotent-Replayed"]) == (first.content, "true")
    assert len(published("InventoryFrozenEvent")) == 1


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "r", "until": "2020-01-01T00:00:00Z"}, {"reason": 1}])
def test_a_freeze_needs_a_reason_and_a_future_end(api: Api, subject: Subject, body: Any) -> None:
    assert body_of(api.post(f"{path(subject)}/freeze", body), 400)["code"] == "invalid"
    assert body_of(api.get(path(subject)))["frozen"] is None


def test_a_client_of_some_stores_freezes_nothing(make_api: Callable[..., Api], subject: Subject) -> None:
    limited = make_api(Role.MANAGER, stores=("main",))
    for verb in ("freeze", "unfreeze"):
        assert limited.post(f"{path(subject)}/{verb}", {"reason": "r"}).status_code == 403
    assert not published("InventoryFrozenEvent")


def test_a_variant_shows_only_its_own_freeze(api: Api) -> None:
    parent = make_product()
    variant = make_product(parent=parent)
    freezing.freeze(ACTOR, freezing.product(parent.id), reason="r")
    assert body_of(api.get(f"/api/v1/products/{variant.id}"))["frozen"] is None
    assert body_of(api.get(f"/api/v1/products/{parent.id}"))["frozen"]["reason"] == "r"


def test_freezing_changes_no_counter(subject: Subject) -> None:
    before = list(StockLevel.objects.values_list("on_hand", "reserved", "version"))
    freezing.freeze(ACTOR, subject, reason="r")
    freezing.unfreeze(ACTOR, subject)
    assert list(StockLevel.objects.values_list("on_hand", "reserved", "version")) == before
    assert not any(model.objects.filter(frozen_at__isnull=False) for model in (Product, Warehouse, Store))
