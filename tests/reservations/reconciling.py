"""Helpers for tests that break the books and run a reconciliation."""

from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID

from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, transaction

from inventory.models import (
    ReconciliationFinding,
)
from inventory.services.bookkeeping.reconciliation import Repair, Run
from reservations.services.bookkeeping.reconciliation import reconcile
from tests.books import broken_rules
from tests.factories import (
    ACTOR,
)

LATER = timedelta(minutes=30)


def sql(statement: str, *parameters: Any) -> None:
    """Break the books with SQL, bypassing triggers and foreign keys."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement, parameters)
        cursor.execute("SET LOCAL session_replication_role = origin")


def found(run: Run) -> list[tuple[str, UUID, int | None, int | None]]:
    rows = ReconciliationFinding.objects.filter(run_id=run.id).order_by("kind", "pk")
    return list(rows.values_list("kind", "subject_id", "expected", "actual"))


def repair(**fields: Any) -> Run:
    return reconcile(ACTOR, repair=Repair("drill"), **fields)


def assert_clean() -> None:
    assert found(reconcile(ACTOR)) == []
    assert not broken_rules()


def command(*arguments: str) -> tuple[int, str]:
    """Run the command. Returns its exit status and its output."""
    output = StringIO()
    try:
        call_command("reconcile", *arguments, stdout=output)
    except SystemExit as exit_:
        return int(exit_.code or 0), output.getvalue()
    except CommandError as error:
        return error.returncode, str(error)
    return 0, output.getvalue()
