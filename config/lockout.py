"""Who has failed to log in too often: a name from one address, an address with any names, a name from any addresses.

django-axes counts failures in the database, by name and address. Its own limit is one for both together, since all
terminals of a warehouse share one address; the other two are wider.
"""

from typing import Any

from axes.attempts import get_cool_off_threshold
from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_client_username
from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import Q, Sum
from django.http import HttpRequest


class LockoutHandler(AxesDatabaseHandler):  # type: ignore[misc]
    """Adds ``LOGIN_FAILURES_PER_ADDRESS`` and ``LOGIN_FAILURES_PER_NAME`` to the limit of axes."""

    def is_locked(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> bool:
        """Whether a login is refused without looking at its password."""
        if super().is_locked(request, credentials):
            return True
        by_address = Q(ip_address=request.axes_ip_address)  # type: ignore[attr-defined]
        by_name = Q(username=get_client_username(request, credentials))
        failures = AccessAttempt.objects.filter(attempt_time__gte=get_cool_off_threshold(request)).aggregate(
            of_address=Sum("failures_since_start", filter=by_address, default=0),
            of_name=Sum("failures_since_start", filter=by_name, default=0),
        )
        too_many: bool = (
            failures["of_address"] >= settings.LOGIN_FAILURES_PER_ADDRESS
            or failures["of_name"] >= settings.LOGIN_FAILURES_PER_NAME
        )
        return too_many
