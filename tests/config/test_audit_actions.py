"""Audit actions: registered once, with label, icon and page, and recorded by constants."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import resolve, reverse
from django.utils.functional import Promise
from uuid_utils.compat import uuid7

import audit.actions
import inventory.actions
import reservations.actions
from audit.actions import Action, action_of, actions_called, register, registered
from audit.actors import SOURCES, source_of
from audit.models import AuditEntry
from config.documents.actions import audit_actions
from reservations.admin.holds.timeline import life_of
from reservations.models import Reservation
from reservations.services.holds.resolution import ConsumeRequest, consume_hold
from reservations.services.holds.selecting import Selector
from tests.factories import ACTOR, hold, make_level

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (audit.actions, inventory.actions, reservations.actions)
ENTRIES = reverse("admin:audit_auditentry_changelist")


def in_database(test: Any) -> Any:
    """With a database and a store in it."""
    return pytest.mark.django_db(pytest.mark.usefixtures("store")(test))


each_action = pytest.mark.parametrize("action", registered(), ids=lambda action: action.name)


def constants() -> list[Action]:
    """The actions of the packages' ``actions`` modules, as services use them."""
    found = [value for module in PACKAGES for value in vars(module).values() if isinstance(value, Action)]
    return [*found, *inventory.actions.TRANSFER_ACTIONS.values()]


def code() -> dict[Path, str]:
    """The text of the packages' modules, but for those that register actions."""
    files = (
        file for package in ("audit", "inventory", "reservations", "config") for file in (ROOT / package).rglob("*.py")
    )
    return {file: file.read_text() for file in files if file.name != "actions.py" or file.parent.name == "documents"}


def write_entry(**fields: Any) -> AuditEntry:
    given = {"action": "inventory_stock_adjusted", "actor": "old", "source": "api", "request_id": "r", "changes": {}}
    return AuditEntry.objects.create(**{"at": "2026-01-01T00:00:00Z", "subject_id": uuid7(), **given, **fields})


# ------------------------------------------------------------------------------------------------------------ registry


@each_action
def test_action_has_words_an_icon_and_a_page_that_exists(action: Action) -> None:
    assert re.fullmatch(r"inventory_[a-z]+(_[a-z]+)+", action.name)
    assert len(action.name) <= AuditEntry._meta.get_field("action").max_length
    assert isinstance(action.label, Promise)
    assert str(action.label)
    assert re.fullmatch(r"[a-z_]+", action.icon)
    assert action.tone in {"", "good", "bad"}
    assert str(action.subject.label)
    if address := action.subject.address(uuid7()):
        assert resolve(address).url_name == f"{action.subject.page}_change"
    if action.related:
        path, _, asked = action.related.address(uuid7()).partition("?")
        assert resolve(path).url_name == f"{action.related.page}_changelist"
        assert asked.startswith(f"{action.related.parameter}=")


def test_subjects_without_a_page_are_those_that_the_console_does_not_show() -> None:
    without = {str(action.subject.label) for action in registered() if not action.subject.page}
    # The webhook is one that was deleted.
    assert without == {"account", "archived file", "draft of a delivery", "imported file", "webhook"}
    assert not {"StaffAccess", "ArchivedFile", "ReceivingDraft"} & {model.__name__ for model in admin.site._registry}


def test_registry_has_the_constants_of_the_packages_and_no_others() -> None:
    known = registered()
    assert len(known) > 40
    assert {id(action) for action in constants()} == {id(action) for action in known}


def test_label_belongs_to_one_action() -> None:
    labels = [str(action.label).lower() for action in registered()]
    assert len(set(labels)) == len(labels), "a search by the label would find another action's entries"


def test_action_that_has_a_registered_name_is_refused() -> None:
    action = reservations.actions.RESERVATION_RELEASED
    with pytest.raises(ValueError, match="inventory_reservation_released is registered already"):
        register(replace(action, label="Another"))
    assert action_of(action.name) is action


# --------------------------------------------------------------------------------------------------------- write sites


def test_names_are_spelled_where_they_are_registered_alone() -> None:
    names = re.compile(r"[\"']({})[\"']".format("|".join(action.name for action in registered())))
    # A migration writes the names of its time, whatever becomes of the actions.
    written = {file: text for file, text in code().items() if file.parent.name != "migrations"}
    spelled = {(str(file), name) for file, text in written.items() for name in names.findall(text)}
    assert spelled == set()


def test_every_action_is_recorded_somewhere() -> None:
    texts = "\n".join(code().values())
    named = {name for module in PACKAGES for name, value in vars(module).items() if isinstance(value, Action)}
    assert {name for name in named if not re.search(rf"\b{name}\b", texts)} == set()
    verbs = get_args(inventory.actions.TransferVerb)
    assert inventory.actions.TRANSFER_ACTIONS.keys() == set(verbs)
    assert {verb for verb in verbs if f'"{verb}"' not in texts} == set()


# ------------------------------------------------------------------------------------------------------------- history


def test_action_that_is_gone_is_called_by_its_name() -> None:
    gone = action_of("inventory_bundle_split")
    assert (gone.label, gone.subject.address(uuid7()), gone.related) == ("Bundle split", None, None)
    assert gone.sentence({"reason": "damaged"}, ()) == "damaged"


def test_source_that_is_gone_is_called_by_its_name() -> None:
    assert source_of("fax") == ("fax", "fax")
    assert {name: (str(source.label), str(source.phrase)) for name, source in SOURCES.items()} == {
        "api": ("API", "through the API"),
        "admin": ("Console", "in the console"),
        "command": ("Command line", "with a command"),
        "sweeper": ("Sweeper", "of the service"),
        "stream": ("Stream", "through an event"),
    }


@pytest.mark.parametrize("typed", ["Reservation released", "reservation released", "inventory_reservation_released"])
def test_action_is_found_by_its_words_and_its_name(typed: str) -> None:
    assert "inventory_reservation_released" in actions_called(typed)


@in_database
@pytest.mark.parametrize("fields", [{"action": "inventory_bundle_split"}, {"source": "fax"}])
def test_entry_of_an_action_or_source_that_is_gone_is_shown(manager: Client, fields: dict[str, str]) -> None:
    entry = write_entry(**fields)
    words = "Bundle split" if "action" in fields else "fax"
    for page in (f"{ENTRIES}?day=all", reverse("admin:audit_auditentry_change", args=[entry.pk])):
        assert words in manager.get(page).content.decode()


@in_database
def test_timeline_without_audit_entries_uses_the_reservations_times() -> None:
    held = hold((make_level(10), 2))
    consume_hold(ConsumeRequest(ACTOR, "order-9", Selector(reservation_id=held.id)))
    sold = Reservation.objects.get(pk=held.id)
    assert [str(moment.title) for moment in life_of(sold, (), is_due=False)] == ["Made", "Sold"]
    archived = Reservation.objects.get(pk=held.id)
    archived.pk = uuid7()
    timeline = life_of(archived, (), is_due=False)
    assert [(str(moment.title), moment.icon, moment.tone) for moment in timeline] == [
        ("Made", "add_shopping_cart", ""),
        ("Sold", "check", "good"),
    ]


@in_database
@pytest.mark.parametrize(("status", "title"), [("RELEASED", "Released"), ("EXPIRED", "Expired")])
def test_end_of_a_timeline_follows_the_status(status: str, title: str) -> None:
    ended = Reservation.objects.get(pk=hold((make_level(10), 1)).id)
    ended.pk, ended.status, ended.released_at = uuid7(), status, ended.created_at + timedelta(seconds=1)
    assert [str(moment.title) for moment in life_of(ended, (), is_due=False)] == ["Made", title]


def test_reference_lists_each_action_once() -> None:
    text = audit_actions()
    assert [text.count(f"`{action.name}`") for action in registered()] == [1] * len(registered())
    assert "| `inventory_stock_imported` † | Stock imported | imported file |" in text
