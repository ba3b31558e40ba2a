"""Levels that a command is the first to need: made before it, in a transaction of their own (api.md, rule 8)."""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final, TypeVar
from uuid import UUID

from uuid_utils.compat import uuid7

from audit import columns
from audit.statements import write
from inventory import transactions
from inventory.catalogue import forget_catalogue

T = TypeVar("T")


class MissingLevels(Exception):
    """What a command adds to doesn't exist yet, by (product, warehouse); nothing of the command was written.

    Met by ``run_with_levels`` alone.
    """

    def __init__(self, keys: Collection[tuple[UUID, UUID]]) -> None:
        super().__init__(f"{len(keys)} levels are missing")
        self.keys = keys


_CREATE: Final = """
INSERT INTO inventory_stocklevel (id, product_id, warehouse_id, on_hand, reserved, min_stock_level, zone, aisle, shelf,
    version)
SELECT id, product_id, warehouse_id, 0, 0, 0, '', '', '', 1
FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[]) WITH ORDINALITY AS t (id, product_id, warehouse_id, n)
ORDER BY n ON CONFLICT (product_id, warehouse_id) DO NOTHING
"""


def create_levels(keys: Sequence[tuple[UUID, UUID]]) -> None:
    """Create levels, in the order given, that nobody else has created meanwhile. Requires an open transaction."""
    write(
        _CREATE,
        [
            columns.uuids(uuid7() for _ in keys),
            columns.uuids(product_id for product_id, _ in keys),
            columns.uuids(warehouse_id for _, warehouse_id in keys),
        ],
    )


def run_with_levels(work: Callable[[], T]) -> T:
    """``transactions.run``, and again after the levels are made that ``work`` found missing before it wrote anything.

    Raises what ``transactions.run`` raises.
    """
    while True:
        try:
            return transactions.run(work)
        except MissingLevels as missing:
            transactions.run(partial(create_levels, sorted(missing.keys)))
            forget_catalogue()
