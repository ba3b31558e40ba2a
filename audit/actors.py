"""Actors: a person in the console, an API client or a program of the service, and their reach."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from audit.errors import PermissionDenied


class Source(NamedTuple):
    """The texts of a source, for staff: ``label`` stands alone, ``phrase`` follows the actor's name."""

    label: Promise | str
    phrase: Promise | str


SOURCES: Final[Mapping[str, Source]] = {
    "api": Source(_("API"), _("through the API")),
    "admin": Source(_("Console"), _("in the console")),
    "command": Source(_("Command line"), _("with a command")),
    "sweeper": Source(_("Sweeper"), _("of the service")),
    "stream": Source(_("Stream"), _("through an event")),
}
"""Sources by the name that actors carry and audit entries store."""


def source_of(name: str) -> Source:
    """The source with this name; one that is gone gets its name as both texts."""
    return SOURCES.get(name) or Source(name, name)


class Actor(msgspec.Struct, frozen=True, gc=False):
    """Who asks for a change. Part of each request value, since a batch has requests of many actors.

    ``source`` is one of ``SOURCES``. ``store_codes`` limit the stores that the actor may see and change; empty means
    all. ``warehouse_codes`` limit the warehouses; None means all, empty none. API clients are limited to stores, staff
    to warehouses (docs/explanation/rules.md, rule 19). ``account_id`` is the id of the staff account; None for others.
    ``span`` is the request's, by which its part of a batch is traced (``audit.traces``); None while traces are off.
    """

    name: str
    client_id: UUID | None
    request_id: str
    source: str
    store_codes: tuple[str, ...] = ()
    warehouse_codes: tuple[str, ...] | None = None
    account_id: int | None = None
    span: Any = None

    @property
    def sees_all_warehouses(self) -> bool:
        """Whether all warehouses are in reach."""
        return self.warehouse_codes is None

    @property
    def only_store(self) -> str:
        """The one store that the actor is limited to; empty for an actor that sees several."""
        return self.store_codes[0] if len(self.store_codes) == 1 else ""

    def sees_store(self, code: str) -> bool:
        """Whether a store is in reach."""
        return not self.store_codes or code in self.store_codes

    def sees_warehouse(self, code: str) -> bool:
        """Whether a warehouse is in reach by ``warehouse_codes``. ``store_codes`` are not considered."""
        return self.warehouse_codes is None or code in self.warehouse_codes

    def sees_warehouses(self, codes: Iterable[str]) -> bool:
        """Whether all of these warehouses are in reach, as for ``sees_warehouse``."""
        return all(self.sees_warehouse(code) for code in codes)

    def require_all_warehouses(self) -> None:
        """Raise PermissionDenied for an actor limited to some warehouses: the change may concern any warehouse."""
        if self.warehouse_codes is not None:
            raise PermissionDenied("This is for people who work in all warehouses.")

    def require_no_limit(self) -> None:
        """Raise PermissionDenied for an actor limited to some stores or warehouses: the change concerns something that
        belongs to none of them, such as a product or an account."""
        self.require_all_warehouses()
        if self.store_codes:
            raise PermissionDenied("A client that is limited to some stores may not do this.")
