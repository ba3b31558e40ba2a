"""What the doctor looks at in PostgreSQL: its settings, connections, transactions, the clock, the role, migrations."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from audit.db.service_role import check_service_role
from config.doctor.lines import Line, Outcome, choose, fail, lasting, ok, sized, warn
from config.doctor.machine import examine_folder
from config.startup import WEB_POOL_SIZE

OLDEST_VERSION: Final = 15
LONG_SECONDS: Final = 300
_CLOCK_WARNS_SECONDS: Final = 1.0
_CLOCK_FAILS_SECONDS: Final = 60.0
_OLDEST_XID: Final = 1_000_000_000
_MOST_USED: Final = 0.8
_SHORT_TIMEOUT_MS: Final = 60_000
_TIMEOUT: Final = "SET LOCAL statement_timeout = '5s'"
_NAMES: Final = (
    *("server_version", "server_version_num", "fsync", "full_page_writes", "synchronous_commit", "autovacuum"),
    *("track_counts", "wal_level", "TimeZone", "default_transaction_isolation", "default_transaction_read_only"),
    *("idle_session_timeout", "idle_in_transaction_session_timeout", "statement_timeout", "max_connections"),
    *("superuser_reserved_connections", "data_directory", "server_encoding"),
)
# reset_val is the timeout that the session began with: the doctor has set another one.
_SETTINGS: Final = """
SELECT name, CASE name WHEN 'statement_timeout' THEN reset_val ELSE setting END FROM pg_settings WHERE name = ANY(%s)
"""
_ACTIVITY: Final = """
SELECT count(*), count(*) FILTER (WHERE usename = current_user),
    (SELECT rolsuper OR pg_has_role(oid, 'pg_read_all_stats', 'USAGE') FROM pg_roles WHERE rolname = current_user)
FROM pg_stat_activity WHERE backend_type = 'client backend'
"""
_LONG: Final = """
SELECT pid, coalesce(usename, '?'), state, extract(epoch FROM clock_timestamp() - xact_start)
FROM pg_stat_activity WHERE xact_start < clock_timestamp() - %s AND backend_type = 'client backend'
    AND pid <> pg_backend_pid() AND datname = current_database() ORDER BY xact_start LIMIT 1
"""
_PREPARED: Final = "SELECT count(*) FROM pg_prepared_xacts WHERE prepared < clock_timestamp() - %s"
_SLOTS: Final = """
SELECT slot_name, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint
FROM pg_replication_slots WHERE NOT active AND restart_lsn IS NOT NULL ORDER BY 2 DESC LIMIT 1
"""
_AGE: Final = "SELECT age(datfrozenxid), pg_database_size(oid) FROM pg_database WHERE datname = current_database()"


@contextmanager
def _asking() -> Iterator[Any]:
    """A cursor for short statements."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_TIMEOUT)
        yield cursor


def examine_migrations() -> Iterator[Line]:
    """Whether the tables are those of this code."""
    executor = MigrationExecutor(connection)
    pending = [str(migration) for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]
    if pending:
        found = f"{len(pending)} are pending, such as {pending[0]}"
        yield fail("migrations", found, "run manage.py migrate before this version serves")
    else:
        yield ok("migrations", "all are applied")


def examine_clock() -> Iterator[Line]:
    """This machine's clock against the database's, by which the service decides."""
    with _asking() as cursor:
        before = time.time()
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        theirs = cursor.fetchone()[0]
        after = time.time()
    # The database's moment lies somewhere in between.
    ahead = max(before - theirs, theirs - after, 0.0)
    found = (
        f"this machine's differs from the database's by {'less than 0.1' if ahead < 0.1 else format(ahead, '.1f')} s"
    )
    outcome = Outcome.FAIL if ahead > _CLOCK_FAILS_SECONDS else Outcome.WARN
    yield choose("clock", found, "run NTP on both machines", is_bad=ahead > _CLOCK_WARNS_SECONDS, outcome=outcome)


def examine_postgresql() -> Iterator[Line]:
    """The settings of the server that matter, as they are for the service's own sessions."""
    with _asking() as cursor:
        cursor.execute(_SETTINGS, [list(_NAMES)])
        known = dict(cursor.fetchall())
        cursor.execute("SELECT pg_is_in_recovery()")
        is_standby = cursor.fetchone()[0]
        cursor.execute(_ACTIVITY)
        used, own, sees_all = cursor.fetchone()
        cursor.execute(_AGE)
        age, size = cursor.fetchone()
    yield _version(known)
    if is_standby or known["default_transaction_read_only"] == "on":
        yield fail("postgresql writes", "this server is read-only", "let DATABASE_URL name the primary server")
    yield from _durability(known)
    yield from _sessions(known)
    yield _connections(known, used, own)
    yield choose(
        "postgresql wraparound",
        f"the oldest row is {age:,} transactions old",
        "find out why vacuum doesn't freeze rows: a long transaction, a prepared one, a replication slot",
        is_bad=age > _OLDEST_XID,
    )
    yield _disk(known, size)
    if not sees_all:
        yield ok(
            "postgresql activity", "only the service's own sessions are visible; grant pg_read_all_stats to see all"
        )


def _version(known: Mapping[str, str]) -> Line:
    is_old = int(known["server_version_num"]) < OLDEST_VERSION * 10_000
    todo = f"upgrade to {OLDEST_VERSION} or later"
    return choose("postgresql version", known["server_version"], todo, is_bad=is_old, outcome=Outcome.FAIL)


def _durability(known: Mapping[str, str]) -> Iterator[Line]:
    """What keeps committed changes. A developer's machine may do without."""
    outcome = Outcome.WARN if settings.IS_LOCAL else Outcome.FAIL
    losses = {
        "fsync": "a crash of the machine can destroy the database",
        "full_page_writes": "a crash of the machine can destroy the database",
        "synchronous_commit": "a crash of the server loses changes that were acknowledged",
        "autovacuum": "tables grow, and the server refuses writes in the end",
        "track_counts": "autovacuum doesn't know which tables to clean",
    }
    off = [name for name in losses if known[name] == "off"]
    for name in off:
        yield Line(f"postgresql {name}", outcome, f"it is off: {losses[name]}", f"set {name} = on")
    if not off:
        yield ok("postgresql durability", f"{', '.join(losses)} are on")
    if known["wal_level"] == "minimal":
        todo = "set wal_level = replica for base backups and recovery to a point in time"
        yield warn("postgresql wal_level", "it is minimal", todo)


def _sessions(known: Mapping[str, str]) -> Iterator[Line]:
    bad = [fault for is_bad, *fault in _faults_of_sessions(known) if is_bad]
    for name, found, todo in bad:
        yield warn(f"postgresql {name}", found, todo)
    if not bad:
        yield ok("postgresql sessions", "read committed, UTC, UTF8, and no timeout that cuts them off")


def _faults_of_sessions(known: Mapping[str, str]) -> list[tuple[bool, str, str, str]]:
    """The settings of sessions that matter: whether each is wrong, its name, what was found, and what to do."""
    isolation = known["default_transaction_isolation"]
    return [
        (
            isolation != "read committed",
            "default_transaction_isolation",
            f"it is {isolation}",
            "set it to read committed",
        ),
        (
            known["TimeZone"] != "UTC",
            "TimeZone",
            f"it is {known['TimeZone']}",
            "remove what overrides the service's UTC, such as a setting of a pooler",
        ),
        (known["server_encoding"] != "UTF8", "encoding", f"it is {known['server_encoding']}", "make one in UTF8"),
        (
            known["idle_session_timeout"] != "0",
            "idle_session_timeout",
            "sessions are ended while they are idle",
            "set it to 0 for the service's role: its pools keep connections",
        ),
        (
            known["idle_in_transaction_session_timeout"] == "0",
            "idle in transaction",
            "a client that hangs in a transaction keeps its locks",
            "set idle_in_transaction_session_timeout, to 60s for example",
        ),
        (
            0 < int(known["statement_timeout"]) < _SHORT_TIMEOUT_MS,
            "statement_timeout",
            f"statements end after {known['statement_timeout']} ms",
            "set it to 0 for the service's role: archiving and imports take longer, and calls have limits of their own",
        ),
    ]


def _connections(known: Mapping[str, str], used: int, own: int) -> Line:
    """The connections that are open, and those that the web processes here may open, against the server's limit."""
    most = int(known["max_connections"]) - int(known["superuser_reserved_connections"])
    # A web process has its pool and a probe's connection; workers, sweeper and relay have a few each.
    pool = settings.DATABASES["default"]["OPTIONS"].get("pool", {}).get("max_size") or WEB_POOL_SIZE
    wanted = settings.GRANIAN_WORKERS * (pool + 1)
    found = f"{used} of {most} are open, {own} by this role; the web server here opens up to {wanted}"
    todo = "raise max_connections, lower DATABASE_POOL_SIZE, or put PgBouncer in between"
    return choose("postgresql connections", found, todo, is_bad=used > most * _MOST_USED or wanted > most)


def _disk(known: Mapping[str, str], size: int) -> Line:
    """The room on the database's disk, if it is this machine's."""
    folder = Path(known.get("data_directory") or "/nowhere")
    subject = "postgresql disk"
    try:
        is_here = (folder / "PG_VERSION").exists()
    except OSError:
        is_here = False
    if not is_here:
        return ok(subject, f"the database takes {sized(size)}; its disk isn't visible from here")
    return examine_folder(subject, folder, is_ours=False)


def examine_transactions() -> Iterator[Line]:
    """What keeps locks or old rows for long."""
    long = timedelta(seconds=LONG_SECONDS)
    with _asking() as cursor:
        cursor.execute(_LONG, [long])
        found = cursor.fetchone()
        cursor.execute(_PREPARED, [long])
        prepared = cursor.fetchone()[0]
        cursor.execute("SELECT pg_is_in_recovery()")
        slot = None
        if not cursor.fetchone()[0]:
            cursor.execute(_SLOTS)
            slot = cursor.fetchone()
    if found:
        pid, user, state, seconds = found
        shown = f"one of the role {user} has been open for {lasting(float(seconds))} ({state})"
        yield warn("transactions", shown, f"end it if nobody needs it: SELECT pg_terminate_backend({pid})")
    if prepared:
        yield warn(
            "transactions", f"{prepared} are prepared and not finished", "commit or roll back (pg_prepared_xacts)"
        )
    if slot:
        shown = f"{slot[0]} is not used and keeps {sized(slot[1])} of WAL"
        yield warn("replication slot", shown, "drop it if nobody needs it: it fills the disk")
    if not (found or prepared or slot):
        yield ok("transactions", f"none is open for more than {lasting(LONG_SECONDS)}")


def examine_role() -> Iterator[Line]:
    """Whether the service's role may do more than it needs."""
    with _asking() as cursor:
        cursor.execute("SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user")
        role, is_superuser = cursor.fetchone()
    if not is_superuser:
        yield ok("service role", f"{role} is not a superuser")
        return
    warnings = check_service_role(databases=["default"])
    found = warnings[0].msg if warnings else f"{role} is a superuser, on a developer's machine"
    yield warn("service role", found, "give the service a role of its own: docs/guides/operate.md")
