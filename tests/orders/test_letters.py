"""Dead letters: replayed and discarded, in the console and by the service."""

import json
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.test import Client
from django.urls import reverse
from uuid_utils.compat import uuid7

from audit.errors import Invalid, NotFound, PermissionDenied
from audit.identifiers import NIL
from inventory.models import Product
from reservations.models import DeadLetter, OrderNote, ReceivedEvent
from reservations.services.orders import memory, settling
from reservations.services.orders.memory import Outcome
from reservations.services.orders.settling import SettleRequest
from tests.books import assert_books_balance
from tests.factories import ACTOR, counters, make_level, make_product, make_store, recorded
from tests.orders.sending import cancelled, created, event, receive
from tests.staff import browser_of, make_staff

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _shop() -> None:
    make_store()


def refused_product() -> DeadLetter:
    """The letter of a new product whose SKU was taken, and is not any more."""
    taken = make_product(sku="MUG")
    receive(event("ProductCreatedEvent", productId="01900000-0000-7000-8000-0000000000aa", sku="mug", name="Mug"))
    Product.objects.filter(pk=taken.pk).update(sku="CUP", sku_key="CUP")
    return DeadLetter.objects.get()


def mended(letter: DeadLetter, body: object) -> DeadLetter:
    """A letter whose message could be understood, as after an upgrade."""
    letter.message = json.dumps(body).encode()
    letter.save()
    return letter


def test_a_product_is_replayed_once_its_cause_is_gone() -> None:
    letter = refused_product()
    assert (letter.code, letter.status) == ("sku_taken", "WAITING")
    outcome = settling.replay_letter(SettleRequest(ACTOR, letter.pk))
    assert isinstance(outcome, Outcome)
    assert outcome.result == "applied"
    assert Product.objects.filter(sku="mug").exists()
    letter.refresh_from_db()
    assert (letter.status, letter.settled_by) == ("REPLAYED", ACTOR.name)
    assert recorded("inventory_event_replayed")[0].subject_id == letter.pk
    for settle in (settling.replay_letter, settling.discard_letter):
        with pytest.raises(NotFound):
            settle(SettleRequest(ACTOR, letter.pk))


def test_an_order_that_is_replayed_is_applied_once() -> None:
    level = make_level(10)
    order = created("o-1", (level, 3))
    receive(order, b"{")
    letter = mended(DeadLetter.objects.get(), order)
    outcome = settling.replay_letter(SettleRequest(ACTOR, letter.pk))
    assert isinstance(outcome, Outcome)
    assert outcome.is_duplicate
    assert counters(level) == (10, 3)
    assert_books_balance()


def test_what_still_cannot_be_understood_waits_on() -> None:
    receive(b"{")
    letter = DeadLetter.objects.get()
    with pytest.raises(Invalid, match="still can't be understood"):
        settling.replay_letter(SettleRequest(ACTOR, letter.pk))
    assert DeadLetter.objects.waiting().count() == 1


def test_who_is_limited_settles_nothing() -> None:
    letter = refused_product()
    for limit in ({"store_codes": ("main",)}, {"warehouse_codes": ("wh-001",)}):
        actor = msgspec.structs.replace(ACTOR, **limit)  # type: ignore[arg-type]
        for settle in (settling.replay_letter, settling.discard_letter):
            with pytest.raises(PermissionDenied):
                settle(SettleRequest(actor, letter.pk))
    with pytest.raises(NotFound):
        settling.discard_letter(SettleRequest(ACTOR, NIL))
    assert DeadLetter.objects.waiting().exists()


def at(name: str, letter_id: UUID) -> str:
    return reverse(f"admin:reservations_deadletter_{name}", args=[letter_id])


def sent(browser: Client, address: str, **fields: str) -> Any:
    """The answer to a dialog's form."""
    return browser.post(address, {"once": str(uuid7()), **fields})


def test_in_the_console() -> None:
    browser: Client = browser_of(make_staff("administrator"))
    letter = refused_product()
    page = browser.get(at("change", letter.pk)).content.decode()
    assert "sku_taken" in page
    assert "&quot;sku&quot;: &quot;mug&quot;" in page
    assert "Replay" in page
    assert sent(browser, at("replay", letter.pk)).status_code == 302
    assert Product.objects.filter(sku="mug").exists()
    assert "Discard" not in browser.get(at("change", letter.pk)).content.decode()
    receive(b"\xff\x00<script>")
    other = DeadLetter.objects.waiting().get()
    again = sent(browser, at("replay", other.pk))
    assert again.status_code == 422
    assert "still can&#x27;t be understood" in again.content.decode()
    assert "<script>" not in browser.get(at("change", other.pk)).content.decode().partition("<pre>")[2][:100]
    assert sent(browser, at("discard", other.pk), reason="noise").status_code == 302
    assert not DeadLetter.objects.waiting().exists()
    assert recorded("inventory_event_discarded")[0].changes["reason"] == "noise"


def test_what_is_remembered_too_long_is_forgotten(settings: object) -> None:
    receive(cancelled("o-1"), b"{", b"[")
    waiting, settled = DeadLetter.objects.order_by("id")
    settling.discard_letter(SettleRequest(ACTOR, settled.pk))
    assert memory.purge() == 0
    settings.INBOX_RETENTION_DAYS = 0  # type: ignore[attr-defined]
    assert memory.purge(batch_size=1) == 3
    assert list(DeadLetter.objects.all()) == [waiting]
    assert not ReceivedEvent.objects.exists()
    assert not OrderNote.objects.exists()
