"""`python -m tests.contract.minute DATA_DIR`: a minute passes for the holds of a demonstration.

Their rows are moved, not the clock: whatever would end within the minute ends now. Then a moment passes, in which the
service forgets what it remembers of sold-out levels: it knew when each hold would end.
"""

import contextlib
import json
import sys
import time
from pathlib import Path

import psycopg

REMEMBERED_SECONDS = 0.3
"""More than ``SOLD_OUT_CACHE_SECONDS``."""
PASS = """
WITH over AS (
    UPDATE reservations_reservation SET expires_at = now()
    WHERE status = 'ACTIVE' AND expires_at BETWEEN now() AND now() + interval '61 s' RETURNING id
)
UPDATE reservations_reservationitem SET held_until = now()
FROM over WHERE reservation_id = over.id AND held_until IS NOT NULL
"""


def main(data_dir: Path) -> None:
    """Move the rows in the embedded server of a data folder."""
    server = json.loads((data_dir / "embedded.json").read_text(encoding="utf-8"))
    with contextlib.closing(
        psycopg.connect(host=server["socket_dir"], user=server["user"], dbname=server["database"], autocommit=True)
    ) as connection:
        connection.execute(PASS)
    time.sleep(REMEMBERED_SECONDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
