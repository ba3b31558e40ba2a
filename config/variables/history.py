"""Variables: history."""

from config import environment, parsing
from config.environment import Used
from config.variables.servers import DATA_DIR

_history = environment.section("History")

MOVEMENT_RETENTION_DAYS = _history.parsed(
    "MOVEMENT_RETENTION_DAYS",
    365,
    parsing.days_of_history,
    kind="0, 31 to 36,500",
    unit="days",
    meaning="How long movements stay in the database: at least 31, or 0 for ever.",
    used_by=(Used.WORKER, Used.COMMANDS),
)
RESERVATION_RETENTION_DAYS = _history.parsed(
    "RESERVATION_RETENTION_DAYS",
    365,
    parsing.days_of_history,
    kind="0, 31 to 36,500",
    unit="days",
    meaning="How long closed reservations stay in the database: at least 31, or 0 for ever.",
    used_by=(Used.WORKER, Used.COMMANDS),
)
AUDIT_RETENTION_DAYS = _history.parsed(
    "AUDIT_RETENTION_DAYS",
    365,
    parsing.days_of_history,
    kind="0, 31 to 36,500",
    unit="days",
    meaning="How long audit entries stay in the database: at least 31, or 0 for ever.",
    used_by=(Used.WORKER, Used.COMMANDS),
)
INBOX_RETENTION_DAYS = _history.whole(
    "INBOX_RETENTION_DAYS",
    30,
    least=1,
    most=environment.MOST_DAYS,
    unit="days",
    meaning=(
        "How long [incoming events](incoming-events.md), and what they reported about orders, are stored: an "
        "event that is sent again within this time changes nothing. Settled dead letters are kept as long; those "
        "that wait are kept until they are settled."
    ),
    used_by=(Used.WORKER,),
)
EVENT_RETENTION_DAYS = _history.whole(
    "EVENT_RETENTION_DAYS",
    30,
    least=1,
    most=environment.MOST_DAYS,
    unit="days",
    meaning="How long [events](events.md) can be read. Older ones are deleted, not archived.",
    used_by=(Used.WEB, Used.WORKER),
)
ARCHIVE_DIR = _history.path(
    "ARCHIVE_DIR",
    DATA_DIR / "archive",
    meaning="The folder of archived rows. Back it up like the database.",
    used_by=(Used.WORKER, Used.COMMANDS),
    shown="`archive` in `DATA_DIR`",
)
ARCHIVE_BATCH_SIZE = _history.whole(
    "ARCHIVE_BATCH_SIZE",
    10_000,
    least=1,
    unit="rows",
    meaning="About how many rows one archived file has.",
    used_by=(Used.WORKER, Used.COMMANDS),
)
