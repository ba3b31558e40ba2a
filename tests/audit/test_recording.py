"""Each audit entry is written with its own actor, action and store."""

import pytest
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.models import AuditEntry
from audit.recording import Entry, record
from inventory import actions
from inventory.locking import read_clock
from inventory.transactions import run

pytestmark = pytest.mark.django_db
CLERK = Actor("clerk", uuid7(), "request-1", "api")
PERSON = Actor("ann", None, "request-2", "admin")


@pytest.mark.parametrize(
    "given",
    [
        [(CLERK, actions.STOCK_ADJUSTED, "")],
        [(CLERK, actions.STOCK_ADJUSTED, "main")] * 50,
        [(CLERK, actions.STOCK_ADJUSTED, ""), (PERSON, actions.STOCK_ADJUSTED, "")] * 25,
        [(CLERK, actions.STOCK_ADJUSTED, ""), (CLERK, actions.DOCUMENT_REVERSED, "")] * 25,
        [(CLERK, actions.STOCK_ADJUSTED, ""), (CLERK, actions.STOCK_ADJUSTED, "main")] * 25,
    ],
    ids=["one", "alike", "of two actors", "of two actions", "of two stores"],
)
def test_each_entry_has_its_own_actor_action_and_store(given: list[tuple[Actor, actions.Action, str]]) -> None:
    entries = [
        Entry(actor, action, uuid7(), {"number": number}, store) for number, (actor, action, store) in enumerate(given)
    ]
    run(lambda: record(entries, now=read_clock()))
    written = {row.changes["number"]: row for row in AuditEntry.objects.all()}
    for number, entry in enumerate(entries):
        row, actor = written[number], entry.actor
        assert (row.actor, row.client_id, row.source) == (actor.name, actor.client_id, actor.source)
        assert (row.request_id, row.action, row.store) == (actor.request_id, entry.action.name, entry.store)
        assert row.subject_id == entry.subject_id
