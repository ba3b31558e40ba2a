"""Forms that carry the values that they were opened with, so that saving never overwrites somebody else's change
(docs/explanation/rules.md, rule 36).

Every form of an existing row has a hidden field with the values that it was opened with, signed. They are compared with
the row twice: when the form is sent, to show each difference, and once more under the row's lock, before it is saved.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from audit.console.values import Values, editable, known_ids, raw_rows, with_new_rows
from audit.display import shown_time
from audit.errors import VersionConflict
from audit.models import AuditEntry

SEEN: Final = "seen"
"""The name of the hidden field."""
CHANGED: Final = _("Somebody else has changed this since you opened it. Nothing was saved. See below, then save again.")
_UNKNOWN: Final = object()
"""Replaces a value that a form didn't carry."""
_ENTRIES_READ: Final = 20


def _conflicts(seen: Mapping[str, Any], now: Mapping[str, Any], sent: Mapping[str, Any]) -> list[str]:
    """The fields that somebody else has changed since they were seen, to another value than the one that is sent."""
    return [name for name, value in now.items() if seen.get(name, _UNKNOWN) != value and sent.get(name, value) != value]


def changed_by(subject: UUID | None) -> Callable[[str], str]:
    """Who last changed a field of what the trail keeps under this id, and when: a function of the field. One query."""
    entries = AuditEntry.objects.filter(subject_id=subject) if subject else AuditEntry.objects.none()
    read = list(entries.order_by("-at", "-id")[:_ENTRIES_READ])

    def by(name: str) -> str:
        entry = next((each for each in read if name in each.changes), read[0] if read else None)
        who = {"name": entry.actor, "when": shown_time(entry.at)} if entry else None
        return gettext(" (changed by %(name)s, %(when)s)") % who if who else ""

    return by


@dataclass(frozen=True)
class _Stale:
    """What differs from what a form was opened with.

    ``now`` are the row's values, ``texts`` say what differs, by field, and ``untouched`` are those of these fields that
    the user has left as they were seen.
    """

    now: Mapping[str, Any]
    texts: Mapping[str, str]
    untouched: Collection[str]


class CarriesSeen(admin.ModelAdmin):  # type: ignore[type-arg]
    """Every form of an existing row carries what it was opened with."""

    change_form_before_template: ClassVar[str] = "console/seen.html"

    def trail_subject(self, row: Any) -> UUID | None:
        """The id under which the trail has the row's changes."""
        return cast(UUID, row.pk)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show what somebody else has changed since the form was opened, instead of saving it."""
        page: Any = super()
        if request.method == "POST" and object_id is not None:
            self._compare(request, object_id)
            try:
                return cast(HttpResponse, page.changeform_view(request, object_id, form_url, extra_context))
            except VersionConflict:  # Somebody saved the row after it was compared.
                self._compare(request, object_id)
        return cast(HttpResponse, page.changeform_view(request, object_id, form_url, extra_context))

    def _compare(self, request: HttpRequest, object_id: str) -> None:
        """Set ``request.stale``: what differs from what the sent form carries, None if nothing does."""
        request.stale = None  # type: ignore[attr-defined]
        row = self.get_object(request, unquote(object_id))
        if row is None or not self.has_change_permission(request, row):
            return
        stored = self.values_of(request, row)
        now, seen = stored.stored(), self.seen_by(request, row)
        form = self.get_form(request, row, change=True)(request.POST, request.FILES, instance=row)
        form.full_clean()
        bound = Values(form, self._formsets(request, row, request.POST))
        sent = bound.sent()
        conflicts = _conflicts(seen, now, sent)
        untouched = [name for name in conflicts if seen.get(name, _UNKNOWN) == sent[name]]
        for prefix, formset in bound.formsets.items():
            rows = stored.formsets[prefix] if prefix in untouched else formset
            if prefix in conflicts or not known_ids(formset) <= known_ids(stored.formsets[prefix]):
                request.POST = with_new_rows(request.POST, prefix, raw_rows(rows))  # type: ignore[assignment]
        if conflicts:
            by = changed_by(self.trail_subject(row))
            texts = {name: _text(name, (seen, stored, now), (bound, sent), by(name)) for name in conflicts}
            request.stale = _Stale(now, texts, untouched)  # type: ignore[attr-defined]

    def values_of(self, request: HttpRequest, row: Any) -> Values:
        """The values of a row, as its form shows them. A handful of queries."""
        return Values(self.get_form(request, row, change=True)(instance=row), self._formsets(request, row))

    def seen_by(self, request: HttpRequest, row: Any) -> Mapping[str, Any]:
        """The values that a sent form carries: none if they are missing, or not signed by this service for this row."""
        try:
            found = signing.loads(request.POST.get(SEEN, ""), salt=self._salt(row))
        except signing.BadSignature:
            return {}
        return found if isinstance(found, dict) else {}

    def _salt(self, row: Any) -> str:
        return f"{SEEN} {self.opts.label_lower} {row.pk}"

    def _formsets(self, request: HttpRequest, row: Any, sent: Any = None) -> list[Any]:
        """The rows below the form that the user may edit; unbound without ``sent``."""
        made = []
        for kind, inline in self.get_formsets_with_inlines(request, row):
            asked: Any = inline
            if asked.has_change_permission(request, row) or asked.has_add_permission(request, row):
                found, prefix = inline.get_queryset(request), kind.get_default_prefix()
                rows: Any = kind(data=sent, instance=row, prefix=prefix, queryset=found)
                rows.label = inline.verbose_name_plural
                made.append(rows)
        return made

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Lock the row, and require that it is still as the form carries it. Requires an open transaction.

        What the form doesn't edit stays as it is by now, such as a password that was just set. Raises VersionConflict.
        """
        if change:
            rows: Any = type(obj)._base_manager
            locked = rows.select_for_update(no_key=True).filter(pk=obj.pk).first()
            Unchanged(self, request, form, ())(locked)
            edited = dict(editable(form))
            for field in obj._meta.concrete_fields:
                if field.name not in edited:
                    setattr(obj, field.attname, getattr(locked, field.attname))
        super().save_model(request, obj, form, change)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form_class = super().get_form(request, obj, change=change, **kwargs)
        stale = getattr(request, "stale", None)
        if stale is None or obj is None:
            return form_class
        return type(form_class.__name__, (_StaleForm, form_class), {"stale": stale})

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Add the hidden field: the values that the page shows; if it is shown again for another reason than that they
        differ, what the sent form carried."""
        row, stale = context.get("original"), getattr(request, "stale", None)
        if row is not None and self.has_change_permission(request, row):
            if request.method == "POST" and stale is None:
                context[SEEN] = request.POST.get(SEEN, "")
            else:
                values = stale.now if stale else self._shown_values(request, row, context)
                context[SEEN] = signing.dumps(dict(values), salt=self._salt(row), compress=True)
        return super().render_change_form(request, context, *args, **kwargs)

    def _shown_values(self, request: HttpRequest, row: Any, context: Mapping[str, Any]) -> Mapping[str, Any]:
        """The values of the very forms that are shown: read once more, they might be newer."""
        edited = {formset.prefix for formset in self._formsets(request, row)}
        formsets = [each.formset for each in context["inline_admin_formsets"]]
        return Values(context["adminform"].form, [formset for formset in formsets if formset.prefix in edited]).stored()


class _StaleForm:
    """A form that was opened before somebody else's change: shows what differs, and the present value of what the user
    didn't touch."""

    stale: ClassVar[_Stale]

    def clean(self) -> Any:
        form: Any = self
        try:
            return super().clean()  # type: ignore[misc]
        finally:
            form.add_error(None, CHANGED)
            for name, text in self.stale.texts.items():
                form.add_error(name if name in form.fields else None, text)
            for name in self.stale.untouched:
                if name in form.fields:
                    form.fields[name].bound_data = _present_value


def _present_value(_sent: Any, stored: Any) -> Any:
    """In place of ``Field.bound_data``, which prefers the sent value."""
    return stored


def _text(
    name: str, opened: tuple[Mapping[str, Any], Values, Mapping[str, Any]], given: tuple[Values, Any], by: str
) -> str:
    """ "Name: you saw A, it is now B (changed by C, 27 Nov 2026, 14:05), you wrote D." """
    (seen, stored, now), (bound, sent) = opened, given
    was = seen.get(name, _UNKNOWN)
    facts = {
        "label": stored.label(name),
        "seen": "" if was is _UNKNOWN else stored.shown(name, was),
        "now": stored.shown(name, now[name]),
        "by": by,
        "sent": bound.shown(name, sent[name]),
    }
    if was is _UNKNOWN:
        return gettext("%(label)s: it is now “%(now)s”%(by)s, you wrote “%(sent)s”.") % facts
    if was == sent[name]:
        return gettext("%(label)s: you saw “%(seen)s”, it is now “%(now)s”%(by)s. The form shows it now.") % facts
    return gettext("%(label)s: you saw “%(seen)s”, it is now “%(now)s”%(by)s, you wrote “%(sent)s”.") % facts


class Unchanged:
    """The precondition that a row is still as a form carries it. ``was_asked`` is whether the service has called it."""

    def __init__(self, page: CarriesSeen, request: HttpRequest, form: Any, formsets: Sequence[Any]) -> None:
        self._page, self._request, self._form, self._formsets = page, request, form, formsets
        self.was_asked = False

    def __call__(self, row: Any) -> None:
        """Raises VersionConflict."""
        self.was_asked = True
        if row is None:
            raise VersionConflict(gettext("It no longer exists."))
        stored = self._page.values_of(self._request, row)
        formsets = [formset for formset in self._formsets if formset.prefix in stored.formsets]
        sent = Values(self._form, formsets).sent()
        if _conflicts(self._page.seen_by(self._request, row), stored.stored(), sent):
            raise VersionConflict(str(CHANGED))


class New:
    """The precondition that there is no such row yet. ``was_asked`` is whether the service has called it."""

    was_asked = False

    def __call__(self, row: Any) -> None:
        """Raises VersionConflict."""
        self.was_asked = True
        if row is not None:
            raise VersionConflict(gettext("Somebody else has just added it. Open it from the list."))
