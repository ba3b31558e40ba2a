"""The search for people from any page."""

from functools import reduce
from operator import and_

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.console.base import may_read_trail
from audit.console.search import MOST_RESULTS, Found, Result, ResultAction, Subject, first_of

_NAMES = ("username", "first_name", "last_name", "email")


def _find_people(request: HttpRequest, text: str) -> Found:
    """The accounts of which a name or the address begins with each word of the text. One query and one for groups."""
    words = (reduce(lambda found, name: found | _begins(name, word), _NAMES, Q()) for word in text.split())
    rows = admin.site._registry[User].get_queryset(request).filter(reduce(and_, words, Q()))
    found = list(rows.order_by("-is_active", "username")[: MOST_RESULTS + 1])
    hint = _("There are more. Type more to narrow the search.") if len(found) > MOST_RESULTS else ""
    return first_of((_result(request, row) for row in found), hint)


def _begins(name: str, word: str) -> Q:
    return Q((f"{name}__istartswith", word)) | Q((f"{name}__icontains", f" {word}"))


def _result(request: HttpRequest, user: User) -> Result:
    groups = ", ".join(group.name for group in user.groups.all())
    parts = (user.get_full_name(), groups, "" if user.is_active else _("switched off"))
    entries = f"{reverse('admin:audit_auditentry_changelist')}?actor={user.username}"
    actions = (ResultAction(_("What they did"), entries),) if may_read_trail(request) else ()
    page = reverse("admin:auth_user_change", args=[user.pk])
    return Result(user.username, " · ".join(part for part in parts if part), page, actions)


PEOPLE = Subject(gettext_lazy("People"), "auth.user", _find_people)
