"""The fields of admin forms: whole numbers, times and texts are read as in every other form of the console."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from django import forms
from django.contrib.admin.options import BaseModelAdmin
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.http import HttpRequest
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from audit.console.numbers import WholeNumberField
from audit.console.texts import CodeField, LineField, require_visible
from audit.console.times import require_bounds


class CheckedFields(BaseModelAdmin):  # type: ignore[type-arg]
    """A form of a model, or its rows within another's. ``number_bounds`` are the least and the most of fields whose
    model doesn't say them; ``code_fields`` are texts that are codes."""

    number_bounds: ClassVar[Mapping[str, tuple[int, int]]] = {}
    code_fields: ClassVar[Collection[str]] = ()

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> forms.Field | None:
        is_number = isinstance(db_field, models.IntegerField) and not db_field.choices
        if is_number:
            least, most = self.number_bounds.get(db_field.name) or _bounds_of(db_field)
            kwargs |= {"form_class": WholeNumberField, "widget": WholeNumberField.widget}
            kwargs |= {"min_value": least, "max_value": most}
            return db_field.formfield(**kwargs)  # type: ignore[no-any-return]
        if type(db_field) is models.CharField and not db_field.choices:
            kwargs.setdefault("form_class", CodeField if db_field.name in self.code_fields else LineField)
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field and isinstance(db_field, models.DateTimeField):
            field.validators.append(require_bounds)
            _name_parts(field)
        if isinstance(field, forms.CharField) and not isinstance(field, LineField):
            field.validators.append(require_visible)  # A user name, an address.
        return field


def _name_parts(field: forms.Field) -> None:
    """Name the two inputs of a time, which share one label."""
    for part, name in zip(getattr(field.widget, "widgets", ()), (_("date"), _("time")), strict=False):
        part.attrs["aria-label"] = f"{capfirst(str(field.label))}, {name}"


def _bounds_of(db_field: Any) -> tuple[int, int]:
    """The tightest bounds of a field's validators, which include those of its column."""
    limits: dict[type, list[int]] = {MinValueValidator: [], MaxValueValidator: []}
    for validator in db_field.validators:
        for kind, found in limits.items():
            if isinstance(validator, kind):
                limit: Any = validator.limit_value  # type: ignore[attr-defined]
                found.append(limit() if callable(limit) else limit)
    return max(limits[MinValueValidator]), min(limits[MaxValueValidator])
