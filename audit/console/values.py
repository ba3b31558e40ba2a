"""The values of forms and of the rows below them, in a form in which they can be stored, compared and shown."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from django import forms
from django.db.models import Model, QuerySet
from django.forms import ModelChoiceField
from django.http import QueryDict
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext

from audit.display import NOTHING, shown_time


def canonical(value: Any) -> Any:
    """A value of a form as JSON that is equal for equal values; None for any empty one. Times are cut to seconds."""
    if isinstance(value, bool):
        return value
    if isinstance(value, Model):
        return str(value.pk)
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(microsecond=0).isoformat()
    if isinstance(value, list | tuple | set | frozenset | QuerySet):
        return sorted(map(canonical, value), key=json.dumps) or None
    if isinstance(value, int):
        return value
    text = str(value if value is not None else "").replace("\r\n", "\n").strip()
    return text or None


def shown(field: forms.Field, value: Any) -> str:
    """A canonical value of a field, as people read it. One query for the value of a relation."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return gettext("Yes") if value else gettext("No")
    several = value if isinstance(value, list) else [value]
    if isinstance(field, ModelChoiceField):
        return ", ".join(sorted(map(str, cast(Any, field.queryset).filter(pk__in=several)))) or NOTHING
    if isinstance(field, forms.ChoiceField):
        labels = {
            str(key): str(label) for key, label in cast(Any, field.choices) if not isinstance(label, list | tuple)
        }
        return ", ".join(labels.get(str(one), str(one)) for one in several)
    if isinstance(field, forms.DateTimeField) and (moment := parse_datetime(str(value))):
        return shown_time(moment)
    return str(value)


class Values:
    """The editable values of a form and of the rows below it, by field and by prefix of the rows."""

    def __init__(self, form: Any, formsets: Iterable[Any]) -> None:
        self.form = form
        self.formsets = {formset.prefix: formset for formset in formsets}

    def stored(self) -> dict[str, Any]:
        """The values of the row that an unbound form shows."""
        found = {name: self.form.get_initial_for_field(field, name) for name, field in editable(self.form)}
        return {name: canonical(value) for name, value in found.items()} | {
            prefix: canonical([_row(formset, form, None) for form in formset.initial_forms])
            for prefix, formset in self.formsets.items()
        }

    def sent(self) -> dict[str, Any]:
        """The values of a bound form that was validated; as they were typed where they are wrong."""
        cleaned = self.form.cleaned_data
        found = {
            name: cleaned[name] if name in cleaned else self.form[name].data for name, _field in editable(self.form)
        }
        return {name: canonical(value) for name, value in found.items()} | {
            prefix: canonical([_row(formset, form, form.cleaned_data) for form in _kept_rows(formset)])
            for prefix, formset in self.formsets.items()
        }

    def label(self, name: str) -> str:
        """The label of a field, or the title of the rows."""
        if name in self.formsets:
            return str(self.formsets[name].label)
        return str(self.form.fields[name].label or name)

    def shown(self, name: str, value: Any) -> str:
        """A canonical value, as people read it."""
        if name not in self.formsets:
            is_wrong = self.form.is_bound and name not in self.form.cleaned_data
            return str(value or NOTHING) if is_wrong else shown(self.form.fields[name], value)
        fields = self.formsets[name].empty_form.fields
        rows = [json.loads(row) for row in value or ()]
        try:
            return "; ".join(" ".join(shown(fields[key], part) for key, part in row) for row in rows) or NOTHING
        except (ValueError, forms.ValidationError):  # Typed, and no id at all.
            return gettext("rows with mistakes")


def editable(form: Any) -> list[tuple[str, forms.Field]]:
    """The fields of a form that people edit."""
    return [(name, field) for name, field in form.fields.items() if not field.disabled]


def _kept_rows(formset: Any) -> list[Any]:
    """The rows of a bound formset that are neither empty nor to be deleted."""
    for form in formset.forms:
        form.full_clean()
    kept = [form for form in formset.forms if form.has_changed() or form in formset.initial_forms]
    return [form for form in kept if not (formset.can_delete and formset._should_delete_form(form))]


def _names(formset: Any, form: Any) -> list[str]:
    """The fields of a row that people edit."""
    own = {formset._pk_field.name, formset.fk.name, "DELETE", "ORDER"}
    return [name for name, field in form.fields.items() if name not in own and not field.disabled]


def _row(formset: Any, form: Any, cleaned: Mapping[str, Any] | None) -> str:
    """One row as JSON text, so that rows can be sorted. ``cleaned`` is None for a stored row."""

    def value(name: str) -> Any:
        if cleaned is None:
            return form.get_initial_for_field(form.fields[name], name)
        return cleaned[name] if name in cleaned else form[name].data

    return json.dumps([[name, canonical(value(name))] for name in _names(formset, form)])


def known_ids(formset: Any) -> set[str]:
    """The ids of a formset's rows; of a bound one, those that were sent."""
    if not formset.is_bound:
        return {str(form.instance.pk) for form in formset.initial_forms}
    return {sent for form in formset.forms if (sent := formset.data.get(form.add_prefix(formset._pk_field.name)))}


def raw_rows(formset: Any) -> list[dict[str, list[str]]]:
    """The rows of a formset as a browser sends them: those of a bound one as they were sent."""
    if not formset.is_bound:
        return [
            {
                name: [str(form[name].value())]
                for name in _names(formset, form)
                if form[name].value() not in (None, False)
            }
            for form in formset.initial_forms
        ]
    prefixes = [f"{form.prefix}-" for form in _kept_rows(formset)]
    return [
        {key.removeprefix(prefix): values for key, values in formset.data.lists() if key.startswith(prefix)}
        for prefix in prefixes
    ]


def with_new_rows(post: QueryDict, prefix: str, rows: Sequence[Mapping[str, list[str]]]) -> QueryDict:
    """The sent form with these rows, all of them new: the ids that were sent may be of rows that are gone."""
    changed = post.copy()
    for key in [key for key in changed if re.match(rf"{re.escape(prefix)}-(\d+-|TOTAL_FORMS$|INITIAL_FORMS$)", key)]:
        del changed[key]
    changed[f"{prefix}-TOTAL_FORMS"], changed[f"{prefix}-INITIAL_FORMS"] = str(len(rows)), "0"
    for index, row in enumerate(rows):
        for name, values in row.items():
            if name not in ("id", "DELETE"):
                changed.setlist(f"{prefix}-{index}-{name}", values)
    return changed
