"""Records the statements of a command, and checks the lock order of each transaction.

The order is docs/explanation/rules.md, rule 8.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, Final

from django.db import connection
from django.test.utils import CaptureQueriesContext


class Step(IntEnum):
    """The kind of a statement, in the only allowed order."""

    TURN = 0
    CLAIM = 1
    DOCUMENT = 2
    CART = 3
    HOLDS = 4
    LEVELS = 5
    WRITE = 6


_STEPS: Final = (
    (Step.TURN, re.compile(r"set_config.*pg_advisory_xact_lock")),
    (Step.CLAIM, re.compile(r"pg_try_advisory_xact_lock")),
    (
        Step.DOCUMENT,
        re.compile(r'FROM "?inventory_(transfer|receivingdraft|stockdocument)\b.*FOR NO KEY UPDATE', re.DOTALL),
    ),
    (Step.CART, re.compile(r"pg_advisory_xact_lock")),
    (Step.HOLDS, re.compile(r"FROM reservations_reservation\b.*FOR NO KEY UPDATE", re.DOTALL)),
    (Step.LEVELS, re.compile(r"FROM inventory_stocklevel\b.*FOR NO KEY UPDATE", re.DOTALL)),
    (
        Step.WRITE,
        re.compile(r"^\s*(WITH (\w+ AS MATERIALIZED \(.*\), )?part_0 AS \()?\s*(INSERT|UPDATE|DELETE)\b", re.DOTALL),
    ),
)
_ANY_LOCK: Final = re.compile(r"\bFOR (NO KEY )?UPDATE|\bFOR (KEY )?SHARE|pg_(try_)?advisory|LOCK TABLE")
_STOCK_WRITE: Final = re.compile(r"(^\s*|\()(UPDATE inventory_stocklevel|INSERT INTO inventory_movement)")


_LOOK_FOR_DUE_HOLDS: Final = re.compile(r"FROM reservations_reservationitem\b.*held_until <=", re.DOTALL)
_LOOK_FOR_INCOMING: Final = re.compile(r"sum\(in_transit\) FROM inventory_transferline\b")


def step_of(sql: str) -> Step | None:
    """The kind of a statement; None for a read without locks. Fails for an unknown lock."""
    step = next((step for step, pattern in _STEPS if pattern.search(sql)), None)
    assert step is not None or not _ANY_LOCK.search(sql), f"a lock outside the rules: {sql}"
    return step


@contextmanager
def transactions_of_this_thread() -> Iterator[list[list[str]]]:
    """Record the statements of each transaction that ends inside the block, without BEGIN and COMMIT."""
    done: list[list[str]] = []
    with CaptureQueriesContext(connection) as captured:
        yield done
    current: list[str] | None = None
    for sql in (query["sql"] for query in captured.captured_queries):
        if sql == "BEGIN":
            current = []
        elif sql in {"COMMIT", "ROLLBACK"}:
            assert current is not None
            done.append(current)
            current = None
        elif current is not None:
            current.append(sql)
        else:
            assert not _ANY_LOCK.search(sql), f"a lock outside a transaction: {sql}"


def assert_lock_order(statements: list[str]) -> None:
    """Claims, document, cart, reservations, levels, writes: each after the other, all levels at once, then nothing but
    writes.

    A write to stock requires its lock. Two reads are allowed among the writes, because they are reliable only there:
    whether there are due holds on the levels of a request that was short, and what is in transit to a level.
    """
    statements = [
        sql for sql in statements if not _LOOK_FOR_DUE_HOLDS.search(sql) and not _LOOK_FOR_INCOMING.search(sql)
    ]
    steps = [step_of(sql) for sql in statements]
    taken = [step for step in steps if step is not None]
    listing = "\n".join(
        f"{step.name if step else '-':7}{sql[:100]!r}" for step, sql in zip(steps, statements, strict=True)
    )
    assert taken == sorted(taken), f"out of order:\n{listing}"
    assert steps.count(Step.LEVELS) <= 1, f"levels locked piecemeal:\n{listing}"
    if Step.LEVELS in steps:
        after = steps[steps.index(Step.LEVELS) + 1 :]
        assert set(after) <= {Step.WRITE}, f"something else under the levels' locks:\n{listing}"
    elif any(_STOCK_WRITE.search(sql) for sql in statements):
        raise AssertionError(f"stock is changed without its lock:\n{listing}")


def checked(work: Callable[[], Any]) -> tuple[Any, list[list[str]]]:
    """Do the work, and check the lock order of its transactions. Returns its result and the transactions."""
    with transactions_of_this_thread() as done:
        answer = work()
    assert done
    for statements in done:
        assert_lock_order(statements)
    return answer, done
