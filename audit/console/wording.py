"""How the console words refusals."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from audit.errors import DomainError

wordings: dict[str, Any] = {
    "busy": _("Somebody else is working on the same stock. Nothing was changed: please try again."),
    "idempotency_in_progress": _("This is being done already. Look again in a moment."),
    "idempotency_key_reused": _("This form was sent before, with other figures. Open it again to make another change."),
    "permission_denied": _("This concerns all warehouses, and you work in some of them."),
    "not_found": _("This is not there any more, or not yours to change."),
}
"""How refusals are told to staff, by the code of the error. Packages add their own; others tell their detail."""


def wording_of(error: DomainError) -> str:
    """A refusal in the warehouse's words."""
    return str(wordings.get(error.code, error.detail))
