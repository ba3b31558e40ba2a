"""Leases for reading files: each person has one file read at a time, over all processes.

A lease is a row with an end, not a lock: a lock would keep a database connection for as long as the file is read. The
lease of a process that was killed ends by itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext
from uuid_utils.compat import uuid7

from audit.console.imports.rows import Unreadable
from audit.console.imports.workbooks import MOST_SECONDS, MOST_WAITING_SECONDS

LEASE_SECONDS: Final = MOST_WAITING_SECONDS + MOST_SECONDS + 5
"""More than reading takes at most."""

_TAKE: Final = """
INSERT INTO audit_readinglease (user_id, token, ends_at)
VALUES (%s, %s, statement_timestamp() + make_interval(secs => %s))
ON CONFLICT (user_id) DO UPDATE SET token = EXCLUDED.token, ends_at = EXCLUDED.ends_at
WHERE audit_readinglease.ends_at <= statement_timestamp()
RETURNING true
"""
_END: Final = "DELETE FROM audit_readinglease WHERE user_id = %s AND token = %s"


@contextmanager
def reading_lease(user_id: int) -> Iterator[None]:
    """Have a lease while a user's file is read. Raises Unreadable while another one has it; never waits for that."""
    token = uuid7()
    if not _take(user_id, token):
        raise Unreadable(gettext("is refused while another file of yours is read: try again in a moment"))
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(_END, [user_id, token])


def _take(user_id: int, token: UUID) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [user_id, token, LEASE_SECONDS])
        return cursor.fetchone()
