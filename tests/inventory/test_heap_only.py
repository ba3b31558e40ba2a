"""A hold touches no index of the stock level."""

import pytest
from django.db import connection

from tests.factories import hold, make_level


def updates() -> tuple[int, int]:
    """How many updates of stock levels this database has seen, and how many of them were heap-only."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'inventory_stocklevel'"
        )
        return cursor.fetchone()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("store")
def test_1000_holds_update_their_levels_on_the_heap_alone() -> None:
    levels = [make_level(1_000) for _ in range(50)]
    all_before, heap_only_before = updates()
    for number in range(1_000):
        hold((levels[number % 50], 1))
    all_after, heap_only_after = updates()
    assert all_after - all_before == 1_000
    assert heap_only_after - heap_only_before >= 950
