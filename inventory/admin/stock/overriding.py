"""The field for the reason in dialogs that take out frozen goods, for users who may freeze."""

from collections.abc import Mapping
from typing import Any, Final

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from audit.console.dialogs import DialogForm, ReasonField
from audit.console.wording import LazyText

OVERRIDE_PERMISSION: Final = "inventory.freeze_stock"
_REFUSED: Final = _("This is frozen. A manager can ship it anyway, with a reason.")
OVERRIDE_WORDINGS: Final[Mapping[str, LazyText]] = {"product_frozen": _REFUSED, "warehouse_frozen": _REFUSED}


class OverrideField(ReasonField):
    """The reason for taking out frozen goods."""

    def __init__(self, **options: Any) -> None:
        label = _("Reason for shipping although frozen")
        super().__init__(**{"label": label, "required": False, "max_length": 300, **options})


def offer_override(form: DialogForm, request: HttpRequest, *, is_frozen: bool) -> None:
    """Ask for the reason if goods are frozen and the user may freeze. Without the field, the service refuses."""
    if is_frozen and request.user.has_perm(OVERRIDE_PERMISSION):
        form.fields["freeze_override"].required = True
    else:
        del form.fields["freeze_override"]
