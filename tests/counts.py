"""Makes counts for tests: opened, entered and posted."""

from typing import Any
from uuid import UUID

from audit.actors import Actor
from inventory.holds_port import Preference
from inventory.models import StockCount, StockLevel
from inventory.services.counts.documents import ProductRef
from inventory.services.counts.entering import EnteredCount, EnterRequest, enter_counts
from inventory.services.counts.opening import OpenRequest, open_count
from inventory.services.counts.posting import Posted, PostRequest, post_count
from tests.books import assert_books_balance
from tests.factories import ACTOR


def counted(*entries: tuple[StockLevel, int], **fields: Any) -> StockCount:
    """Open a count of these levels, and enter these units."""
    refs = tuple(ProductRef(level.product_id) for level, _ in entries)
    opened = open_count(OpenRequest(ACTOR, "wh-001", "PRODUCTS", products=refs, **fields))
    lines = tuple(EnteredCount(ProductRef(level.product_id), units) for level, units in entries)
    enter_counts(EnterRequest(ACTOR, opened.count.id, lines))  # type: ignore[union-attr]
    return opened.count  # type: ignore[union-attr]


def post(count: StockCount, *preferred: UUID, actor: Actor = ACTOR, **fields: Any) -> Posted:
    """Post a count, with these reservations preferred to give way, and check the books."""
    posted = post_count(PostRequest(actor, count.id, preferred=Preference(preferred), **fields))
    assert isinstance(posted, Posted)
    assert_books_balance()
    return posted
