"""The stores that a read is about."""

from uuid import UUID

from audit.actors import Actor
from inventory.errors import UnknownStore
from inventory.models import Store


def store_ids(actor: Actor, code: str | None = None) -> list[UUID]:
    """The ids of the stores in an actor's reach; with a code, of that one alone. One query.

    Raises UnknownStore if the store with the code doesn't exist or is out of reach.
    """
    found = Store.objects.visible_to(actor)
    if code is None:
        return list(found.values_list("pk", flat=True))
    ids = list(found.filter(code=code).values_list("pk", flat=True))
    if not ids:
        raise UnknownStore(f"There is no store {code}.")
    return ids
