"""Drafts of the same delivery that are begun and changed at the same moment: an account has one open draft of it."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

import pytest
from django.db import connection
from msgspec.structs import replace
from uuid_utils.compat import uuid7

from inventory.errors import DraftChanged
from inventory.models import ReceivingDraft
from inventory.services.drafts import receiving
from inventory.services.drafts.receiving import DraftDetails
from tests.concurrency.threads import Crew, await_waiting, stranger
from tests.factories import ACTOR, make_warehouse

pytestmark = pytest.mark.django_db(transaction=True)

ANNA = replace(ACTOR, name="anna", account_id=-1)
GONE = replace(ACTOR, name="gone", account_id=-2)
"""No account has these ids: drafts of theirs are left behind."""

_BEGUN_ELSEWHERE = """
INSERT INTO inventory_receivingdraft (id, account_id, owner, warehouse_id, reference, note, version, created_at,
    changed_at) SELECT %s, %s, 'anna', id, 'PO-1', '', 1, now(), now() FROM inventory_warehouse
"""


def take_over() -> Callable[[], None]:
    return partial(receiving.take_over, ANNA, receiving.open_delivery(GONE, "wh-001", "PO-1"))


def rename() -> Callable[[], None]:
    draft = receiving.open_delivery(ANNA, "wh-001", "PO-2")
    seen = DraftDetails("wh-001", "PO-2")
    return partial(receiving.set_details, ANNA, draft, DraftDetails("wh-001", "PO-1"), seen)


@pytest.mark.parametrize("make", [take_over, rename])
def test_draft_that_is_begun_meanwhile_is_named_instead_of_an_error(make: Callable[[], Callable[[], None]]) -> None:
    make_warehouse("wh-001")
    work, begun = make(), uuid7()
    with stranger() as other:
        other.execute(_BEGUN_ELSEWHERE, [begun, ANNA.account_id])
        crew = Crew(work)
        await_waiting()
        other.commit()
        (outcome,) = crew.join()
    assert isinstance(outcome, DraftChanged)
    assert _open_of("PO-1") == [begun]


def _open_of(reference: str) -> list[UUID]:
    connection.ensure_connection()
    own = ReceivingDraft.objects.open().filter(account_id=ANNA.account_id, reference=reference)
    return list(own.values_list("pk", flat=True))
