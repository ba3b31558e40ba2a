"""The form of the login page. Loaded by the theme (``config/look.py``)."""

from typing import ClassVar

from django.utils.translation import gettext_lazy as _
from unfold.forms import AuthenticationForm


class LoginForm(AuthenticationForm):  # type: ignore[misc]
    """Shows the same message for an unknown user and a wrong password."""

    error_messages: ClassVar = {
        **AuthenticationForm.error_messages,
        "invalid_login": _(
            "Name and password don't fit. Mind capital letters; after some wrong tries you have to wait."
        ),
    }
