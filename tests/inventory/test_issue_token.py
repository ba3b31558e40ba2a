"""`manage.py issue_token`: a token for a new client or a known one, and clear refusals."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from audit.authentication import find_caller
from audit.models import ApiClient, ApiToken
from tests.factories import make_store, recorded

pytestmark = pytest.mark.django_db


def issue(*arguments: str) -> str:
    """Run the command. Returns its output."""
    output = StringIO()
    call_command("issue_token", *arguments, stdout=output)
    return output.getvalue()


def test_token_is_all_that_stdout_gets_and_works() -> None:
    make_store("outlet")
    printed = issue("till", "--role", "checkout", "--store", "outlet")
    assert printed.endswith("\n")
    assert len(printed.split()) == 1
    caller = find_caller(printed.strip())
    assert caller is not None
    assert (caller.name, caller.role, caller.store_codes) == ("till", "checkout", ("outlet",))
    assert ApiToken.objects.get().expires_at is None


def test_known_client_gets_another_token() -> None:
    make_store("main")
    make_store("outlet", is_default=False)
    issue("till", "--role", "checkout", "--store", "outlet", "--store", "main")
    issue("till")
    issue("till", "--role", "checkout", "--store", "main", "--store", "outlet")
    assert ApiClient.objects.count() == 1
    assert ApiToken.objects.count() == 3


def test_token_expires_after_the_days_given() -> None:
    issue("till", "--role", "manager", "--days", "30")
    expires_at = ApiToken.objects.get().expires_at
    assert expires_at is not None
    assert abs(expires_at - timezone.now() - timedelta(days=30)) < timedelta(minutes=1)


def test_client_and_token_are_recorded_without_the_token() -> None:
    make_store("outlet")
    printed = issue("till", "--role", "checkout", "--store", "outlet").strip()
    issue("till", "--days", "30")
    client = ApiClient.objects.get()
    (created,) = recorded("inventory_client_created")
    assert (created.actor, created.source, created.subject_id) == ("issue_token", "command", client.pk)
    assert created.changes == {"client": "till", "name": "till", "role": "checkout", "store_codes": ["outlet"]}
    entries = recorded("inventory_token_issued")
    assert {entry.subject_id for entry in entries} == set(ApiToken.objects.values_list("pk", flat=True))
    for entry, expires in zip(entries, (False, True), strict=True):
        assert (entry.actor, entry.source, entry.changes["client"]) == ("issue_token", "command", "till")
        assert bool(entry.changes["expires_at"]) == expires
        assert printed.partition(".")[2] not in str(entry.changes)
    assert entries[0].changes["prefix"] == printed.partition(".")[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["new"], "new is new: say what it may do"),
        (["new", "--role", "admin"], "There is no role admin"),
        (["new", "--role", "checkout", "--store", "mian"], "There is no store mian"),
        (["new", "--role", "checkout", "--days", "0"], "--days takes 1 to 36500, not 0"),
        (["new", "--role", "checkout", "--days", "-3"], "--days takes"),
        (["new", "--role", "checkout", "--days", "99999999999"], "--days takes"),
        (["new", "--role", "checkout", "--days", "1_0"], "“1_0” is not a whole number from 1 to 36,500."),
        (["new", "--role", "checkout", "--days", "٣"], "--days takes"),
        ([" ", "--role", "checkout"], "1 to 64 characters"),
        (["x" * 65, "--role", "checkout"], "1 to 64 characters"),
        (["two\nlines", "--role", "checkout"], "LINE FEED in position 4"),
        (["till", "--role", "manager"], "till exists with the role checkout"),
        (["till", "--store", "main"], "till exists and is limited to outlet"),
    ],
)
def test_refusal_says_what_is_wrong_and_issues_nothing(arguments: list[str], message: str) -> None:
    make_store("main")
    make_store("outlet", is_default=False)
    issue("till", "--role", "checkout", "--store", "outlet")
    with pytest.raises(CommandError) as refused:
        issue(*arguments)
    assert message in str(refused.value)
    assert (ApiClient.objects.count(), ApiToken.objects.count()) == (1, 1)
    assert (len(recorded("inventory_client_created")), len(recorded("inventory_token_issued"))) == (1, 1)
