"""The form of the login page, in the warehouse's words. Loaded by the theme (``config/look.py``)."""

from typing import ClassVar

from django.utils.translation import gettext_lazy as _
from unfold.forms import AuthenticationForm


class LoginForm(AuthenticationForm):  # type: ignore[misc]
    """Says no more than that the two don't fit: whether there is such a name is nobody's business."""

    error_messages: ClassVar = {
        **AuthenticationForm.error_messages,
        "invalid_login": _(
            "Name and password don't fit. Mind capital letters; after some wrong tries you have to wait."
        ),
    }
