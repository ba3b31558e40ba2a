"""The rows that the canary sells (``reservations.services.canary``): a product, its warehouse, store and level, which
nobody else sees.

Their ids are constants, so that leaving them out of a list is a comparison with the row's own columns.
"""

from typing import Any, Final
from uuid import UUID

from django.db import models

from audit.actors import Actor

CODE: Final = "canary.5e1d0c9a7b3f"
"""The SKU, the codes of warehouse and store, and the name of the client; nobody else is likely to use it."""
PRODUCT_ID: Final = UUID("5e1d0c9a-7b3f-7000-8000-00000000a001")
WAREHOUSE_ID: Final = UUID("5e1d0c9a-7b3f-7000-8000-00000000a002")
STORE_ID: Final = UUID("5e1d0c9a-7b3f-7000-8000-00000000a003")
LEVEL_ID: Final = UUID("5e1d0c9a-7b3f-7000-8000-00000000a004")
CLIENT_ID: Final = UUID("5e1d0c9a-7b3f-7000-8000-00000000a005")


class HidingManager(models.Manager[Any]):
    """A manager without the canary's rows, those whose ``field`` has this id.

    It is the default manager of its model, so that whatever lists the rows leaves them out. ``everything`` has them.
    """

    def __init__(self, field: str = "pk", hidden_id: UUID = PRODUCT_ID) -> None:
        super().__init__()
        self._hidden = {field: hidden_id}

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().exclude(**self._hidden)


def is_canary(actor: Actor) -> bool:
    """Whether the actor is the canary, which must see its own rows."""
    return actor.client_id == CLIENT_ID


def rows_for(actor: Actor, model: Any) -> Any:
    """The rows of a model with a ``HidingManager`` that exist for this actor, as the model's own kind of queryset."""
    return (model.everything if is_canary(actor) else model.objects).all()
