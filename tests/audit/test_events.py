"""Registration and publishing of events."""

import msgspec
import pytest
from uuid_utils.compat import uuid7

from audit.events import Event, OutboxRow, register, registered_in
from audit.models import OutboxEvent
from audit.publishing import publish
from inventory import events
from inventory.locking import read_clock
from inventory.transactions import run


def test_the_events_of_a_module_are_listed() -> None:
    found = registered_in("inventory.events")
    assert events.StockAdjustedEvent in found
    assert len(found) == len({event.TYPE for event in found})
    assert all(event.__name__ == event.TYPE and event.KEY for event in found)


def test_a_type_is_registered_once() -> None:
    class StockAdjustedEvent(Event, frozen=True, kw_only=True):
        AGGREGATE = "test"

    with pytest.raises(ValueError, match="an event StockAdjustedEvent already"):
        register(StockAdjustedEvent)
    assert "StockAdjustedEvent" in {event.TYPE for event in registered_in("inventory.events")}


@pytest.mark.django_db
def test_what_is_not_registered_is_not_published() -> None:
    class ForgottenEvent(Event, frozen=True, kw_only=True):
        AGGREGATE = "test"
        name: str

    with pytest.raises(AttributeError, match="TYPE"):
        run(lambda: publish([OutboxRow("key", ForgottenEvent(name="x"))], now=read_clock()))
    assert not OutboxEvent.objects.exists()


@pytest.mark.django_db
def test_events_are_written_in_their_order_with_an_id_and_the_time() -> None:
    ids = [uuid7() for _ in range(3)]
    thawed = [events.InventoryUnfrozenEvent(subject="PRODUCT", product_id=id_, reason='"é"\\') for id_ in ids]
    now = run(read_clock)
    run(lambda: publish([event.row() for event in thawed], now=now))
    written = list(OutboxEvent.objects.order_by("position"))
    assert [row.key for row in written] == [f"product:{id_}" for id_ in ids]
    for row, event in zip(written, thawed, strict=True):
        added = {"eventId": f"ev-{row.event_id}", "timestamp": msgspec.to_builtins(now)}
        assert row.payload == msgspec.to_builtins(event) | added
        assert (row.type, row.created_at) == ("InventoryUnfrozenEvent", now)
