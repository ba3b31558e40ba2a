"""Drafts of deliveries: changed by commands, posted once."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.utils import timezone
from msgspec.structs import replace
from uuid_utils.compat import uuid7

from audit.errors import Invalid, NotFound, PermissionDenied
from inventory.errors import (
    DraftChanged,
    DraftPosted,
    QuantityLimit,
    UnknownWarehouse,
)
from inventory.models import (
    QUANTITY_LIMIT,
    DraftCommand,
    Movement,
    ReceivingDraft,
    StockLevel,
    Warehouse,
)
from inventory.services.drafts import expiry, lines, receiving
from inventory.services.drafts.lines import LineCommand, merge
from inventory.services.drafts.posting import PostedBefore
from inventory.services.drafts.receiving import DraftDetails
from inventory.services.stock.adjustments import Adjusted
from inventory.services.transfers import drafting
from inventory.tasks import expire_drafts
from tests.books import assert_books_balance
from tests.factories import ACTOR, counters, make_level, make_product, make_warehouse, recorded
from tests.inventory.drafts import ANNA, BERT, add, post, put, version_of
from tests.staff import make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


# --- lines ------------------------------------------------------------------------------------------------------------


def verdicts(*commands: LineCommand, now: dict[UUID, int] | None = None, **options: Any) -> tuple[list[str], list[int]]:
    merged = merge(commands, now or {}, options.pop("known", ()), **options)
    return [outcome.verdict for outcome in merged.outcomes], list(merged.quantities.values())


def test_commands_are_carried_out_in_order_and_each_once() -> None:
    lamp, cup = uuid7(), uuid7()
    first, again = add(lamp), add(lamp)
    assert verdicts(first, add(cup, 5), again, again) == (["done", "done", "done", "repeat"], [2, 5])
    assert verdicts(first, now={lamp: 7}, known=[first.id]) == (["repeat"], [7])
    assert verdicts(LineCommand(uuid7(), lamp, "remove"), now={lamp: 7}) == (["done"], [])
    assert verdicts(put(lamp, 0), put(cup, 3), now={lamp: 7}) == (["done", "done"], [3])


def test_line_that_another_tab_has_changed_is_not_overwritten() -> None:
    lamp = uuid7()
    assert verdicts(put(lamp, 4, seen=3), now={lamp: 5}) == (["changed"], [5])
    assert verdicts(put(lamp, 5, seen=3), now={lamp: 5}) == (["done"], [5])
    assert verdicts(put(lamp, 4, seen=5), now={lamp: 5}) == (["done"], [4])
    assert verdicts(put(lamp, 4, seen=0), now={lamp: 5}) == (["changed"], [5])
    assert verdicts(LineCommand(uuid7(), lamp, "remove", seen=3), now={lamp: 5}) == (["changed"], [5])
    assert verdicts(add(lamp), now={lamp: 5}) == (["done"], [6])


def test_lines_have_bounds() -> None:
    lamp, cup = uuid7(), uuid7()
    assert verdicts(add(lamp, lines.MOST_UNITS), add(lamp)) == (["done", "too_many_units"], [lines.MOST_UNITS])
    full = {uuid7(): 1 for _ in range(lines.MOST_LINES)}
    assert verdicts(add(lamp), now=full)[0] == ["too_many_lines"]
    assert verdicts(add(next(iter(full))), now=full)[0] == ["done"]
    assert verdicts(add(cup), add(lamp), most=lambda product: 9 * (product == lamp)) == (["not_expected", "done"], [1])


# --- deliveries -------------------------------------------------------------------------------------------------------


def test_delivery_is_scanned_from_two_tabs_and_posted_exactly_once() -> None:
    level, new = make_level(5), make_product()
    draft = receiving.open_delivery(ANNA, "wh-001", "PO-1", "Delivery")
    assert receiving.open_delivery(ANNA, "wh-001", "PO-1") == draft
    assert receiving.open_delivery(ANNA, "wh-001", "PO-2") != draft
    assert receiving.open_delivery(BERT, "wh-001", "PO-1") != draft
    scans = [add(level.product_id), add(new.pk, 4)]
    receiving.change_lines(ANNA, draft, scans)
    seen = version_of(draft)
    repeated = receiving.change_lines(ANNA, draft, [*scans, add(level.product_id)])
    assert [outcome.verdict for outcome in repeated.outcomes] == ["repeat", "repeat", "done"]
    assert counters(level) == (5, 0)
    with pytest.raises(DraftChanged):
        post(draft, version=seen)
    done = post(draft)
    assert isinstance(done, Adjusted)
    assert counters(level) == (7, 0)
    assert Movement.objects.filter(reference="PO-1", reason="Delivery", adjustment_id=done.id).count() == 2
    for late in ({}, {"version": seen}):
        assert isinstance(post(draft, **late), PostedBefore)
    with pytest.raises(DraftPosted):
        receiving.change_lines(ANNA, draft, [add(level.product_id)])
    with pytest.raises(DraftPosted):
        receiving.discard(ANNA, draft)
    assert receiving.open_delivery(ANNA, "wh-001", "PO-1") != draft
    assert counters(level) == (7, 0)
    assert_books_balance()


def test_delivery_that_is_refused_stays_a_draft() -> None:
    level = make_level(5)
    draft = receiving.open_delivery(ANNA, "wh-001", "")
    with pytest.raises(Invalid):
        post(draft)
    receiving.change_lines(ANNA, draft, [add(level.product_id, 6), add(make_product().pk)])
    StockLevel.objects.filter(pk=level.pk).update(on_hand=QUANTITY_LIMIT - 5)
    with pytest.raises(QuantityLimit):
        post(draft)
    assert ReceivingDraft.objects.get(pk=draft).posted_at is None
    assert len(receiving.quantities_of(draft)) == 2


def test_draft_is_its_owners_and_only_within_reach() -> None:
    level = make_level(5)
    make_warehouse("wh-002")
    draft = receiving.open_delivery(ANNA, "wh-001", "PO-1")
    receiving.change_lines(ANNA, draft, [add(level.product_id)])
    elsewhere = replace(ANNA, warehouse_codes=("wh-002",))
    details = DraftDetails("wh-001", "PO-9")
    for actor in (BERT, elsewhere):
        calls: list[Any] = [
            lambda actor=actor: receiving.change_lines(actor, draft, [add(level.product_id)]),
            lambda actor=actor: receiving.set_details(actor, draft, details, DraftDetails("wh-001", "PO-1")),
            lambda actor=actor: receiving.discard(actor, draft),
            lambda actor=actor: post(draft, actor),
        ]
        for call in calls:
            with pytest.raises(NotFound):
                call()
    assert counters(level) == (5, 0)
    for code in ("wh-001", "wh-999"):
        with pytest.raises(UnknownWarehouse):
            receiving.open_delivery(elsewhere, code, "")
    assert list(ReceivingDraft.objects.own(elsewhere)) == []
    Warehouse.objects.filter(code="wh-002").update(is_active=False)
    with pytest.raises(UnknownWarehouse):
        receiving.open_delivery(elsewhere, "wh-002", "")


def test_details_of_a_draft_are_merged_field_by_field() -> None:
    make_warehouse("wh-001"), make_warehouse("wh-002")
    draft = receiving.open_delivery(ANNA, "wh-001", "PO-1")
    other = receiving.open_delivery(ANNA, "wh-001", "PO-2")
    seen = DraftDetails("wh-001", "PO-1")
    receiving.set_details(ANNA, draft, DraftDetails("wh-002", "PO-1"), seen)
    receiving.set_details(ANNA, draft, DraftDetails("wh-001", "PO-1", "late"), seen)
    row = ReceivingDraft.objects.select_related("warehouse").get(pk=draft)
    assert (row.warehouse.code, row.reference, row.note) == ("wh-002", "PO-1", "late")
    with pytest.raises(DraftChanged) as refused:
        receiving.set_details(ANNA, draft, DraftDetails("wh-001", "PO-1", "damaged"), seen)
    assert refused.value.faults[0].facts == {"now": "late", "yours": "damaged"}
    with pytest.raises(DraftChanged):
        receiving.set_details(ANNA, other, DraftDetails("wh-002", "PO-1"), DraftDetails("wh-001", "PO-2"))


def test_discarded_lines_stay_in_the_audit() -> None:
    product = make_product()
    make_warehouse("wh-001")
    draft = receiving.open_delivery(ANNA, "wh-001", "PO-1")
    receiving.change_lines(ANNA, draft, [add(product.pk, 3)])
    receiving.discard(ANNA, draft)
    assert not ReceivingDraft.objects.exists()
    assert not DraftCommand.objects.exists()
    (entry,) = recorded("inventory_draft_discarded")
    assert entry.actor == "anna"
    assert entry.changes["lines"] == [{"productId": str(product.pk), "quantity": 3}]
    with pytest.raises(NotFound):
        receiving.discard(ANNA, draft)


def test_draft_belongs_to_an_account_and_not_to_a_name() -> None:
    product = make_product()
    make_warehouse("wh-001")
    draft = receiving.open_delivery(ANNA, "wh-001", "PO-1")
    renamed, namesake = replace(ANNA, name="anne"), replace(BERT, name="anna")
    assert receiving.open_delivery(renamed, "wh-001", "PO-1") == draft
    receiving.change_lines(renamed, draft, [add(product.pk)])
    with pytest.raises(NotFound):
        receiving.change_lines(namesake, draft, [add(product.pk)])
    assert receiving.open_delivery(namesake, "wh-001", "PO-1") != draft
    transfer = drafting.open_draft(ANNA, "wh-001", make_warehouse("wh-002").code)
    assert drafting.open_draft(renamed, "wh-001", "wh-002") == transfer
    assert drafting.open_draft(namesake, "wh-001", "wh-002") != transfer
    with pytest.raises(PermissionDenied):
        receiving.open_delivery(ACTOR, "wh-001", "PO-2")
    with pytest.raises(NotFound):
        receiving.change_lines(ACTOR, draft, [add(product.pk)])


def test_draft_of_an_account_that_is_switched_off_or_deleted_is_taken_over_once() -> None:
    product, account = make_product(), make_staff(name="anna")
    make_warehouse("wh-001")
    anna = replace(ANNA, account_id=account.pk)
    kept, orphan = (receiving.open_delivery(anna, "wh-001", name) for name in ("PO-1", "PO-2"))
    receiving.change_lines(anna, orphan, [add(product.pk, 3)])
    with pytest.raises(NotFound):
        receiving.take_over(BERT, orphan)
    account.is_active = False
    account.save()
    with pytest.raises(NotFound):
        receiving.take_over(replace(BERT, warehouse_codes=("wh-002",)), orphan)
    receiving.take_over(BERT, orphan)
    receiving.take_over(BERT, orphan)
    (entry,) = recorded("inventory_draft_taken_over")
    assert (entry.actor, entry.changes["owner"], entry.changes["lines"][0]["quantity"]) == ("bert", "anna", 3)
    receiving.change_lines(BERT, orphan, [add(product.pk)])
    account.delete()
    own = receiving.open_delivery(BERT, "wh-001", "PO-1")
    with pytest.raises(DraftChanged):
        receiving.take_over(BERT, kept)
    receiving.discard(BERT, own)
    receiving.take_over(BERT, kept)
    assert receiving.open_delivery(BERT, "wh-001", "PO-1") == kept


def test_old_drafts_expire_and_their_lines_stay_in_the_audit() -> None:
    product = make_product()
    make_warehouse("wh-001")
    drafts = [receiving.open_delivery(ANNA, "wh-001", name) for name in ("old", "posted", "empty", "fresh")]
    old, posted, empty, fresh = drafts
    for draft in (old, posted, fresh):
        receiving.change_lines(ANNA, draft, [add(product.pk)])
    post(posted)
    age = timedelta(days=settings.DRAFT_DAYS, seconds=1)
    ReceivingDraft.objects.filter(pk__in=[old, posted, empty]).update(changed_at=timezone.now() - age)
    DraftCommand.objects.filter(draft=old).update(done_at=timezone.now() - age)
    assert expire_drafts() == 3
    assert list(ReceivingDraft.objects.values_list("pk", flat=True)) == [fresh]
    (entry,) = recorded("inventory_draft_expired")
    assert (entry.subject_id, entry.changes["owner"], entry.changes["reference"]) == (old, "anna", "old")
    assert DraftCommand.objects.get().draft == fresh
    assert expiry.expire_drafts() == 0
