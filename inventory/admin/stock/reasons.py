"""Reasons for changes of stock, which managers maintain and dialogs offer."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from audit.console.base import actor_of, multiple_choice
from audit.console.service_forms import ServiceAdmin
from audit.preconditions import Precondition
from inventory.models import AdjustmentReason
from inventory.services.stock.reasons import put_reason


class ReasonForm(forms.ModelForm):  # type: ignore[type-arg]
    """The form of a reason, with its kinds as checkboxes."""

    kinds = multiple_choice(AdjustmentReason.Kind.choices, label=_("Offered for"))

    class Meta:
        model = AdjustmentReason
        fields = ("text", "kinds", "is_active")

    def clean_kinds(self) -> list[str]:
        """Require at least one kind; a reason that isn't offered any more is deactivated instead."""
        kinds: list[str] = self.cleaned_data["kinds"]
        if not kinds:
            raise forms.ValidationError(_("Tick at least one. To stop offering the reason, switch it off."))
        return kinds


@admin.register(AdjustmentReason)
class AdjustmentReasonAdmin(ServiceAdmin):
    """Reasons for changes of stock."""

    form = ReasonForm
    belongs_to_no_warehouse = True
    list_display = ("text", "offered_for", "is_active")
    list_filter = ("is_active",)
    search_fields = ("text",)
    search_help_text = _("A part of the text")
    ordering = ("text",)
    fieldsets = ((None, {"fields": ("text", "kinds", "is_active")}),)

    def store(self, request: HttpRequest, form: Any, formsets: list[Any], precondition: Precondition) -> Model:
        return put_reason(actor_of(request), form.instance.pk, precondition=precondition, **form.cleaned_data)

    @admin.display(description=_("offered for"))
    def offered_for(self, reason: AdjustmentReason) -> str:
        return ", ".join(str(AdjustmentReason.Kind(kind).label) for kind in reason.kinds)
