"""Housekeeping of webhooks: partitions of the log of attempts, one for each day in UTC, and deletion of old failed
deliveries."""

from datetime import timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models.functions import Now

from audit.subscriptions import WebhookDelivery

logger = structlog.get_logger(__name__)

_DAYS_AHEAD: Final = 3
_DAYS: Final = """
SELECT to_char(day, 'YYYYMMDD'), to_char(day, 'YYYY-MM-DD'), to_char(day + interval '1 day', 'YYYY-MM-DD')
FROM generate_series(1, %s) AS ahead,
    LATERAL (SELECT date_trunc('day', statement_timestamp() AT TIME ZONE 'UTC') + ahead * interval '1 day') AS t (day)
WHERE to_regclass('audit_webhookattempt_' || to_char(day, 'YYYYMMDD')) IS NULL
    AND NOT EXISTS (SELECT FROM audit_webhookattempt_default WHERE at >= day AT TIME ZONE 'UTC'
        AND at < (day + interval '1 day') AT TIME ZONE 'UTC')
"""
_OLD: Final = """
SELECT child.relname::text FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
WHERE inhparent = 'audit_webhookattempt'::regclass AND child.relname ~ '_[0-9]{8}$'
    AND (right(child.relname, 8)::date + 1)::timestamp AT TIME ZONE 'UTC'
        < statement_timestamp() - make_interval(days => %s)
"""
_FORGET: Final = """
DELETE FROM audit_webhookattempt_default WHERE at < statement_timestamp() - make_interval(days => %s)
"""


def tend_webhooks() -> None:
    """Make the partitions of the next days, drop attempts that are older than ``WEBHOOK_ATTEMPT_DAYS``, and delete
    deliveries that failed longer ago than ``EVENT_RETENTION_DAYS``.

    Attempts of a day without a partition are in the default one, which rows of today are inserted in until its day is
    over. Opens transactions; each takes its locks for a moment, or gives up until the next call.
    """
    with connection.cursor() as cursor:
        cursor.execute(_DAYS, [_DAYS_AHEAD])
        wanted = [
            f"CREATE TABLE IF NOT EXISTS audit_webhookattempt_{name} PARTITION OF audit_webhookattempt FOR VALUES"
            f" FROM ('{start} 00:00:00+00') TO ('{end} 00:00:00+00')"
            for name, start, end in cursor.fetchall()
        ]
        cursor.execute(_OLD, [settings.WEBHOOK_ATTEMPT_DAYS])
        wanted += [f"DROP TABLE IF EXISTS {name}" for (name,) in cursor.fetchall()]
        cursor.execute(_FORGET, [settings.WEBHOOK_ATTEMPT_DAYS])
    for statement in wanted:
        _try(statement)
    long_ago = Now() - timedelta(days=settings.EVENT_RETENTION_DAYS)
    WebhookDelivery.objects.filter(state=WebhookDelivery.State.FAILED, created_at__lt=long_ago).delete()


def _try(statement: str) -> None:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '200ms'")
            # Only one process at a time changes partitions, and the next one sees what it did.
            cursor.execute("LOCK TABLE audit_webhookattempt IN SHARE UPDATE EXCLUSIVE MODE")
            cursor.execute(statement)
    except OperationalError:
        logger.warning("webhook_log_is_locked", wanted=statement)
