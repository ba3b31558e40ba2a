"""Who asks: a person in the console, an API client, or a program of the service; and what is in their reach."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from audit.errors import PermissionDenied


class Source(NamedTuple):
    """A way in, for staff to read: ``label`` by itself, ``phrase`` after the actor's name."""

    label: Promise | str
    phrase: Promise | str


SOURCES: Final[Mapping[str, Source]] = {
    "api": Source(_("API"), _("through the API")),
    "admin": Source(_("Console"), _("in the console")),
    "command": Source(_("Command line"), _("with a command")),
    "sweeper": Source(_("Sweeper"), _("of the service")),
    "stream": Source(_("Stream"), _("through an event")),
}
"""By the name that actors have and audit entries keep."""


def source_of(name: str) -> Source:
    """The source of an audit entry, in words; one that is gone is called by its name."""
    return SOURCES.get(name) or Source(name, name)


class Actor(msgspec.Struct, frozen=True, gc=False):
    """Who asks for a change. Part of each request value, since a batch has requests of many actors.

    ``source`` is the way in, one of ``SOURCES``. ``store_codes`` are the only stores, and ``warehouse_codes`` the only
    warehouses, whose holds and stock they may see and touch; empty means all. API clients are limited to stores, staff
    to warehouses (docs/explanation/rules.md, rule 19).
    """

    name: str
    client_id: UUID | None
    request_id: str
    source: str
    store_codes: tuple[str, ...] = ()
    warehouse_codes: tuple[str, ...] = ()

    @property
    def sees_all_warehouses(self) -> bool:
        """Whether no warehouse is out of reach."""
        return not self.warehouse_codes

    def sees_store(self, code: str) -> bool:
        """Whether a store is in reach."""
        return not self.store_codes or code in self.store_codes

    def sees_warehouse(self, code: str) -> bool:
        """Whether a warehouse is one that this person works in. Says nothing of the stores that sell from it."""
        return not self.warehouse_codes or code in self.warehouse_codes

    def sees_warehouses(self, codes: Iterable[str]) -> bool:
        """Whether all of these are."""
        return not self.warehouse_codes or all(code in self.warehouse_codes for code in codes)

    def require_all_warehouses(self) -> None:
        """Refuse what may touch any warehouse. Raises PermissionDenied for an actor limited to some."""
        if self.warehouse_codes:
            raise PermissionDenied("This is for people who work in all warehouses.")

    def require_no_limit(self) -> None:
        """Refuse what belongs to no single store or warehouse, as a product or an account does. Raises PermissionDenied
        for an actor limited to some."""
        self.require_all_warehouses()
        if self.store_codes:
            raise PermissionDenied("A client that is limited to some stores may not do this.")
