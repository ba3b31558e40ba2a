"""Run commands after creating their missing levels (docs/explanation/rules.md, rule 8) and expiring due holds on their
levels (rule 3), both in transactions of their own."""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final, TypeVar
from uuid import UUID

from django.conf import settings
from uuid_utils.compat import uuid7

from audit.db import columns
from audit.db.statements import one_statement, write
from inventory import transactions
from inventory.errors import InsufficientStock
from inventory.holds_port import holds
from inventory.locking import read_clock
from inventory.services.catalogue.lookup import forget_catalogue
from inventory.services.stock import level_events
from inventory.services.stock.level_events import LEVEL_COLUMNS

T = TypeVar("T")


class MissingLevels(Exception):
    """Levels that a command adds units to don't exist yet, by (product, warehouse); nothing was written.

    Caught only by ``run_with_levels``.
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


_CREATE_AND_RETURN: Final = f"{_CREATE.replace('stocklevel (', 'stocklevel AS level (')}RETURNING {LEVEL_COLUMNS}"
_CREATED: Final = """(SELECT row_number() OVER ()::int AS n, level.*, 0 AS on_hand_change, 0 AS reserved_change,
    level.version AS bumps, '[]'::jsonb AS cause FROM {part} level)"""


def create_levels(keys: Sequence[tuple[UUID, UUID]]) -> None:
    """Create levels, in the given order, unless they exist by now, and publish an event for each. Requires an open
    transaction."""
    parameters = [
        columns.uuids(uuid7() for _ in keys),
        columns.uuids(product_id for product_id, _ in keys),
        columns.uuids(warehouse_id for _, warehouse_id in keys),
    ]
    if not settings.LEVEL_EVENTS:
        write(_CREATE, parameters)
        return
    now = read_clock()
    with one_statement():
        created = write(_CREATE_AND_RETURN, parameters)
        level_events.publish_changes(_CREATED.format(part=created), at_most=len(keys), now=now)


def run_with_levels(work: Callable[[], T]) -> T:
    """Run ``work`` as ``transactions.run`` does. If it raises MissingLevels, create the levels and run it again; if it
    is short of units, expire the due holds on its levels and run it once more.

    It runs again even if no due hold was found: the sweeper may have expired them meanwhile, and then the units are
    available, too.

    Raises what ``transactions.run`` raises. Locks, in transactions of their own: due holds by id, then their levels.
    """
    is_freed = False
    while True:
        try:
            return transactions.run(work)
        except MissingLevels as missing:
            transactions.run(partial(create_levels, sorted(missing.keys)))
            forget_catalogue()
        except InsufficientStock as short:
            if is_freed or not short.levels:
                raise
            holds().free_due(short.levels)
            is_freed = True
