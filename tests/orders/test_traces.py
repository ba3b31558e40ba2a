"""Traces of incoming events: each event is decided in the trace of its sender, also together with others."""

import threading
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from django.conf import LazySettings
from opentelemetry.trace import SpanKind

from audit.models import OutboxEvent
from audit.roles import Role
from reservations.management.consuming.consumer import EventConsumer
from reservations.management.consuming.sources import Entry
from tests.factories import make_client, make_level
from tests.orders.sending import completed, created
from tests.traces import CALLER, TRACE_ID, Traced, context_of, id_of, links_of, parent_of, traced

__all__ = ["traced"]

OTHER_TRACE = TRACE_ID[::-1]


class Given:
    """A source of these events, which come together."""

    name = "given"

    def __init__(self, *events: Any) -> None:
        self._entries = [Entry(f"given {n}", msgspec.json.encode(event), n) for n, event in enumerate(events)]

    def read(self) -> list[Entry]:
        entries, self._entries = self._entries, []
        return entries

    def acknowledge(self, entries: Sequence[Entry]) -> None: ...

    def close(self) -> None: ...


@pytest.mark.django_db
@pytest.mark.usefixtures("store")
def test_incoming_events_of_a_batch_keep_their_traces(traced: Traced, settings: LazySettings) -> None:
    settings.INBOX_CLIENT = make_client(Role.CHECKOUT, name="order-system").name
    level = make_level()
    events = [
        created("o-1", (level, 1)) | {"traceparent": f"00-{TRACE_ID}-{CALLER}-01"},
        created("o-2", (level, 99)) | {"traceparent": f"00-{OTHER_TRACE}-{CALLER}-01"},
        completed("o-1"),
        created("o-3", (level, 1)) | {"traceparent": "nonsense"},
        created("o-4", (level, 1)) | {"traceparent": 7},
    ]
    assert EventConsumer(Given(*events), threading.Event()).run(once=True) == 5
    batch = next(span for span in traced.spans("receive events"))
    single = [span for span in traced.spans("receive event") if span.name == "receive event"]
    assert [parent_of(span) for span in single] == [CALLER, CALLER]
    assert links_of(batch) == sorted(map(id_of, single))
    assert [links_of(span) for span in single] == [[id_of(batch)]] * 2
    assert {span.kind for span in (batch, *single)} == {SpanKind.CONSUMER}
    assert any(parent_of(span) == id_of(batch) for span in traced.spans("SELECT", "WITH"))
    found = OutboxEvent.objects.filter(type__startswith="InventoryRes").values_list("payload__orderId", "traceparent")
    assert dict(found) == {
        "o-1": context_of(single[0]),
        "o-2": context_of(single[1]),
        "o-3": context_of(batch),
        "o-4": context_of(batch),
    }
