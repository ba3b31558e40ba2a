"""Makes old rows to archive, and reads the archived files."""

import gzip
import json
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import connection

_TIMES: Final = {
    "inventory_movement": "created_at",
    "inventory_stocklevel": "created_at last_movement_at last_counted_at",
    "inventory_stockcount": "opened_at posted_at cancelled_at",
    "inventory_stockcountline": "counted_at recounted_at",
    "inventory_transfer": "initiated_at shipped_at closed_at expected_delivery",
    "inventory_lowstockalert": "opened_at worsened_at acknowledged_at notified_at resolved_at",
    "reservations_reservation": "created_at expires_at extended_at consumed_at released_at",
    "reservations_reservationitem": "held_until",
    "reservations_shortageincident": "created_at resolved_at",
    "audit_auditentry": "at",
    "audit_outboxevent": "created_at",
}


def let_days_pass(days: int, cursor: Any = None) -> None:
    """Make all rows older: tests move rows, never clocks. Runs as the superuser, who may disable triggers."""
    if cursor is None:
        with connection.cursor() as own:
            let_days_pass(days, own)
        return
    cursor.execute("SET LOCAL session_replication_role = replica")
    for table, times in _TIMES.items():
        older = ", ".join(f"{name} = {name} - interval '{days} days'" for name in times.split())
        cursor.execute(f"UPDATE {table} SET {older}")
    cursor.execute("SET LOCAL session_replication_role = origin")


def files(kind: str = "") -> list[Path]:
    """The archived files of a kind, the oldest first."""
    return sorted(Path(settings.ARCHIVE_DIR).glob(f"{kind}*.jsonl.gz"))


def archived_rows(kind: str = "", folder: Path | None = None) -> list[dict[str, Any]]:
    """All rows in the archived files."""
    found = sorted(folder.glob(f"{kind}*.jsonl.gz")) if folder else files(kind)
    return [json.loads(line) for path in found for line in gzip.decompress(path.read_bytes()).splitlines()]
