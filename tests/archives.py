"""Old rows to archive, and what files hold of them."""

import gzip
import json
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import connection

_AGE: Final = """
SET LOCAL session_replication_role = replica;
UPDATE inventory_movement SET created_at = created_at - interval '{days} days';
UPDATE inventory_stocklevel SET created_at = created_at - interval '{days} days',
    last_movement_at = last_movement_at - interval '{days} days';
UPDATE audit_auditentry SET at = at - interval '{days} days';
UPDATE audit_outboxevent SET created_at = created_at - interval '{days} days';
UPDATE reservations_reservation SET created_at = created_at - interval '{days} days',
    expires_at = expires_at - interval '{days} days', extended_at = extended_at - interval '{days} days',
    consumed_at = consumed_at - interval '{days} days', released_at = released_at - interval '{days} days';
UPDATE reservations_reservationitem SET held_until = held_until - interval '{days} days';
SET LOCAL session_replication_role = origin;
"""


def let_days_pass(days: int, cursor: Any = None) -> None:
    """Make all that has happened older: tests move rows, never clocks. As the superuser, whom no trigger stops."""
    if cursor is None:
        with connection.cursor() as own:
            let_days_pass(days, own)
        return
    for statement in _AGE.format(days=days).split(";")[:-1]:
        cursor.execute(statement)


def files(kind: str = "") -> list[Path]:
    """The archived files of a kind, the oldest first."""
    return sorted(Path(settings.ARCHIVE_DIR).glob(f"{kind}*.jsonl.gz"))


def documents(kind: str = "", folder: Path | None = None) -> list[dict[str, Any]]:
    """All rows that files have."""
    found = sorted(folder.glob(f"{kind}*.jsonl.gz")) if folder else files(kind)
    return [json.loads(line) for path in found for line in gzip.decompress(path.read_bytes()).splitlines()]
