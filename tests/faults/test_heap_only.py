"""A hold updates no index of the stock level.

Uses servers of its own: a long transaction in any database of a server, such as another test's, keeps PostgreSQL from
pruning old row versions, so that there is no room left on the page.
"""

import json
from collections.abc import Iterator

import pytest

from tests.faults.house import House

HOLDS = """
import json
import django
django.setup()
from django.db import connection
from inventory.models import StockLevel
from tests.factories import hold

def updates():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'inventory_stocklevel'"
        )
        return cursor.fetchone()

levels = list(StockLevel.objects.order_by("id")[:4])
# One level becomes low during the holds, and one has been low before.
for level, more in ((levels[0], 100), (levels[1], 0)):
    StockLevel.objects.filter(pk=level.pk).update(reorder_point=level.available - more)
before = updates()
for number in range(1_000):
    hold((levels[number % 4], 1))
after = updates()
assert StockLevel.objects.filter(may_be_low=True).count() == 2
print(json.dumps([now - then for now, then in zip(after, before)]))
"""


@pytest.fixture
def house() -> Iterator[House]:
    built = House()
    yield built
    built.close()


def test_1000_holds_update_their_levels_on_the_heap_alone(house: House) -> None:
    updated, heap_only = json.loads(house.python("-c", HOLDS))
    assert updated == 1_000
    assert heap_only >= 950
