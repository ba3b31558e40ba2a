"""The form of the login page. Loaded by the theme (``config/look.py``)."""

from typing import ClassVar

from django.utils.translation import gettext_lazy as _
from unfold.forms import AuthenticationForm


class LoginForm(AuthenticationForm):  # type: ignore[misc]
    """Shows the same message for an unknown user and a wrong password."""

    error_messages: ClassVar = {
        **AuthenticationForm.error_messages,
        "invalid_login": _(
            "The username or password is wrong. Both are case-sensitive; after some failed attempts you have to wait."
        ),
    }
