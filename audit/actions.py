"""The actions of audit entries: each is defined once, with its label, its icon and the page of its subject.

A package registers its actions in its ``actions.py``; those of API clients and tokens are at the end of this module.
Services record ``Entry(actor, actions.CLIENT_CREATED, ...)``. Audit entries store only an action's name, so a name must
never change; everything else may.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

_PREFIX: Final = "inventory_"

Sentence = Callable[[Mapping[str, Any], Collection[str]], str]
"""Describes an audit entry's ``changes`` to a reader with these warehouses in reach; an empty collection means all."""


@dataclass(frozen=True, slots=True)
class SubjectKind:
    """A kind of row that actions change. ``page`` is its admin's ``app_model``; empty if the console has no page."""

    label: Promise
    page: str = ""

    def address(self, subject_id: UUID) -> str | None:
        """The row's page in the console; None if there is none."""
        return reverse(f"admin:{self.page}_change", args=[subject_id]) if self.page else None


@dataclass(frozen=True, slots=True)
class RelatedList:
    """A list in the console with a filter (``parameter``) for the rows that were written with one audit entry."""

    label: Promise
    page: str
    parameter: str

    def address(self, entry_id: UUID) -> str:
        """The list, limited to the rows that were written with this audit entry."""
        return f"{reverse(f'admin:{self.page}_changelist')}?{self.parameter}={entry_id}&day=all"


def reason(changes: Mapping[str, Any], codes: Collection[str]) -> str:
    """The reason in an entry's changes; empty if there is none."""
    return str(changes.get("reason") or "")


@dataclass(frozen=True, slots=True)
class Action:
    """A kind of change that audit entries record.

    ``name`` is what audit entries store. ``short_label`` is for the subject's own timeline, where repeating the subject
    would be noise; ``tone`` is its colour there: ``good``, ``bad`` or plain.
    """

    name: str
    label: Promise | str
    icon: str
    subject: SubjectKind
    short_label: Promise | str = ""
    tone: str = ""
    sentence: Sentence = reason
    related: RelatedList | None = None


_registry: Final[dict[str, Action]] = {}
_UNKNOWN: Final = SubjectKind(_("unknown"))


def register(action: Action) -> Action:
    """Register an action for the console. Raises ValueError if another one has its name."""
    if action.name in _registry:
        raise ValueError(f"The action {action.name} is registered already.")
    _registry[action.name] = action
    return action


def registered() -> list[Action]:
    """All actions, by name."""
    return [_registry[name] for name in sorted(_registry)]


def action_of(name: str) -> Action:
    """The action with this name. Entries outlive actions: one that is gone gets its name as label, and no link."""
    known = _registry.get(name)
    return known or Action(name, name.removeprefix(_PREFIX).replace("_", " ").capitalize(), "history", _UNKNOWN)


def actions_called(words: str) -> list[str]:
    """The names of the actions that a search text matches: by name, with or without its prefix, or by label."""
    typed = words.strip().lower()
    named = typed.replace(" ", "_")
    labelled = [name for name, action in _registry.items() if str(action.label).lower() == typed]
    return [named, f"{_PREFIX}{named}", *labelled]


# --- API clients and their tokens -------------------------------------------------------------------------------------

_CLIENT: Final = SubjectKind(_("API client"), "audit_apiclient")
_TOKEN: Final = SubjectKind(_("API token"), "audit_apitoken")

CLIENT_CREATED: Final = register(Action("inventory_client_created", _("API client added"), "add", _CLIENT))
CLIENT_CHANGED: Final = register(Action("inventory_client_changed", _("API client changed"), "edit", _CLIENT))
TOKEN_ISSUED: Final = register(Action("inventory_token_issued", _("Token issued"), "key", _TOKEN))
TOKEN_REVOKED: Final = register(Action("inventory_token_revoked", _("Token revoked"), "block", _TOKEN))

# --- webhooks ---------------------------------------------------------------------------------------------------------

_WEBHOOK: Final = SubjectKind(_("webhook"), "audit_webhooksubscription")

WEBHOOK_CREATED: Final = register(Action("inventory_webhook_created", _("Webhook added"), "add", _WEBHOOK))
WEBHOOK_CHANGED: Final = register(Action("inventory_webhook_changed", _("Webhook changed"), "edit", _WEBHOOK))
WEBHOOK_DELETED: Final = register(
    Action("inventory_webhook_deleted", _("Webhook deleted"), "delete", SubjectKind(_("webhook")), tone="bad")
)
WEBHOOK_ROTATED: Final = register(Action("inventory_webhook_rotated", _("Webhook secret replaced"), "key", _WEBHOOK))
WEBHOOK_RESENT: Final = register(Action("inventory_webhook_resent", _("Events sent again"), "replay", _WEBHOOK))
WEBHOOK_DISABLED: Final = register(
    Action("inventory_webhook_disabled", _("Webhook disabled"), "block", _WEBHOOK, tone="bad")
)
