"""Assigning alerts that are selected in the list: to oneself at once, or to somebody else by a dialog."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.console.base import ConsoleAdmin, actor_of
from audit.console.dialogs import ChoiceField, DialogForm, ReasonField
from audit.console.edit_dialogs import EditDialog, EditForm
from audit.console.selection import SelectedField, selected_ids
from audit.console.wording import LazyText, wording_of
from audit.display import NOTHING
from audit.errors import DomainError, VersionConflict
from audit.idempotency import Claim, StoredAnswer
from audit.whole_numbers import grouped
from inventory.models import LowStockAlert
from inventory.models.low_stock import LowStockAlertQuerySet
from inventory.services.low_stock.assignment import MOST_ALERTS, Assigned, assign, assignees

_MAY_ASSIGN: Final = "inventory.settle_alerts"


class AssignForm(EditForm):
    """The selected alerts, and to whom they go."""

    alerts = SelectedField(most=MOST_ALERTS)
    assignee = ChoiceField(label=_("Assign to"))
    note = ReasonField(label=_("Reason"), required=False)


class AssignDialog(EditDialog[Assigned]):
    """Assign the selected alerts to a person who may see them all. It shows and carries to whom they are assigned."""

    title = _("Assign alerts")
    intro = _("The alerts stay open until stock arrives, but send no more reminders.")
    submit = _("Assign")
    permission = _MAY_ASSIGN
    form_class = AssignForm

    def __init__(self, model_admin: ConsoleAdmin, request: HttpRequest, selected: Sequence[UUID] = ()) -> None:
        super().__init__(model_admin, request)
        self.selected = selected or _sent(request)
        self.list_address = request.get_full_path() if selected else ""

    @property
    def address(self) -> str:
        return reverse("admin:inventory_lowstockalert_assign_selected")

    def open(self) -> HttpResponse:
        """The form for the selected alerts, in answer to the list's action."""
        return self._page(self.make_form(initial={"once": uuid7(), **self.initial()}))

    def answer(self) -> HttpResponse:
        if self.request.method != "POST":
            messages.warning(self.request, _("Select rows in the list first."))
            return redirect(self.way_back())
        return super().answer()

    def initial(self) -> dict[str, Any]:
        return {"alerts": ",".join(map(str, self.selected)), "assignee": self.request.user.get_username()}

    def make_form(self, **arguments: Any) -> DialogForm:
        """The form, with the people who may see all of the selected alerts."""
        form = super().make_form(**arguments)
        field: Any = form.fields["assignee"]
        field.choices = [(name, _with_name(name, *names)) for name, *names in self._people()]
        return form

    def _people(self) -> Any:
        codes = set(self._visible().values_list("level__warehouse__code", flat=True))
        return assignees(codes).values_list("username", "first_name", "last_name")

    def _visible(self) -> LowStockAlertQuerySet:
        return LowStockAlert.objects.visible_to(actor_of(self.request)).filter(pk__in=self.selected)

    def rows(self) -> list[LowStockAlert]:
        return list(self._visible().unresolved().described())

    def values(self, row: LowStockAlert) -> Mapping[LazyText, str]:
        """The person to whom an alert is assigned."""
        label = _("%(alert)s, assigned to") % {"alert": row.level.place}
        return {label: row.acknowledged_by or gettext("nobody")}

    def about(self) -> list[tuple[Any, Any]]:
        """How many alerts are selected, and to whom the open ones are assigned now."""
        names = self._visible().unresolved().values_list("acknowledged_by", flat=True)
        now = [(name or _("Unassigned"), count) for name, count in sorted(Counter(names).items())]
        texts = (f"{name} ({grouped(count)})" for name, count in now)
        return [(_("Alerts"), grouped(len(self.selected))), (_("Assigned now"), ", ".join(texts) or NOTHING)]

    def way_back(self) -> str:
        """The list with its filters."""
        return self.list_address or super().way_back()

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Assigned | StoredAnswer:
        return assign(
            given["alerts"], given["assignee"], actor, note=given["note"], claim=claim, precondition=self.unchanged
        )

    def tell(self, result: Assigned) -> str:
        return told(result)


def _sent(request: HttpRequest) -> list[UUID]:
    """The alerts of a form that was sent; none if they can't be read, which the form then says."""
    try:
        return cast(list[UUID], SelectedField(most=MOST_ALERTS).clean(request.POST.get("alerts", "")))
    except ValidationError:
        return []


def _unassigned(alert: LowStockAlert) -> None:
    """The precondition that nobody has an alert. Raises VersionConflict."""
    if alert.acknowledged_by:
        raise VersionConflict(f"It is assigned to {alert.acknowledged_by}.")


def _taken(count: int) -> str:
    words = ngettext(
        "%(count)s of these alerts is assigned to somebody else. Nothing was done: check it, then assign them.",
        "%(count)s of these alerts are assigned to somebody else. Nothing was done: check it, then assign them.",
        count,
    )
    return words % {"count": grouped(count)}


def _with_name(username: str, first: str, last: str) -> str:
    full = f"{first} {last}".strip()
    return f"{username} ({full})" if full else username


def told(result: Assigned) -> str:
    """The outcome of an assignment, in sentences for the person."""
    assigned, unchanged, left_out = result.assigned, result.unchanged, result.left_out
    done = ngettext("%(count)s alert assigned to %(name)s.", "%(count)s alerts assigned to %(name)s.", assigned)
    parts = [(done, assigned)]
    if unchanged:
        before = ngettext(
            "%(count)s was assigned to %(name)s already.", "%(count)s were assigned to %(name)s already.", unchanged
        )
        parts.append((before, unchanged))
    if left_out:
        over = ngettext(
            "%(count)s was left out: resolved, or no longer in your warehouses.",
            "%(count)s were left out: resolved, or no longer in your warehouses.",
            left_out,
        )
        parts.append((over, left_out))
    figures = [(words, grouped(count)) for words, count in parts]
    return " ".join(words % {"count": count, "name": result.username} for words, count in figures)


class AssignsSelected(ConsoleAdmin):
    """A list of alerts whose selected ones can be assigned."""

    actions = ("assign_to_me", "assign_selected")

    def get_urls(self) -> list[URLPattern]:
        own = path(
            "assign-selected/",
            self.admin_site.admin_view(self.assign_answer),
            name="inventory_lowstockalert_assign_selected",
        )
        return [own, *super().get_urls()]

    def assign_answer(self, request: HttpRequest) -> HttpResponse:
        """The answer to the dialog's form. Raises PermissionDenied."""
        if not self.has_assign_permission(request):
            raise PermissionDenied
        return AssignDialog(self, request).answer()

    @admin.action(description=_("Assign to me"), permissions=["assign"])
    def assign_to_me(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Assign the selected alerts to the user, and say how many. If somebody else has one of them, nothing is done,
        and the dialog opens, which shows who: the list may be older."""
        ids = selected_ids(request, queryset, MOST_ALERTS)
        if ids is None:
            return None
        try:
            result = assign(ids, request.user.get_username(), actor_of(request), precondition=_unassigned)
        except VersionConflict as error:
            messages.warning(request, _taken(len(error.faults)))
            return AssignDialog(self, request, ids).open()
        except DomainError as error:
            messages.error(request, wording_of(error))
            return None
        messages.success(request, told(cast(Assigned, result)))
        return None

    @admin.action(description=_("Assign to…"), permissions=["assign"])
    def assign_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Open the dialog that assigns the selected alerts."""
        ids = selected_ids(request, queryset, MOST_ALERTS)
        return None if ids is None else AssignDialog(self, request, ids).open()

    def has_assign_permission(self, request: HttpRequest) -> bool:
        """Whether the user may assign alerts."""
        return bool(request.user.has_perm(_MAY_ASSIGN))
