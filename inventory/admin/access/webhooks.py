"""Webhooks in the console. Not in ``audit``, because the pages offer stores and products as choices."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, cast
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget

from audit.console.base import actor_of, badge, multiple_choice
from audit.console.filters import link
from audit.console.reach_form import ReachForm
from audit.console.service_forms import ServiceAdmin
from audit.console.texts import NoteField
from audit.console.wording import LazyText
from audit.display import NOTHING
from audit.events import registered_types
from audit.models import WebhookSubscription
from audit.preconditions import Precondition
from audit.webhooks.counting import with_counts
from audit.webhooks.keys import public_keys
from audit.webhooks.managing import Changed
from inventory.admin.access import webhook_dialogs as dialogs
from inventory.codes import sku_key
from inventory.models import Product, Store
from inventory.services.access.webhooks import change_webhook, create_webhook

_MOST_PRODUCTS: Final = 1000


def _skus_of(product_ids: Iterable[UUID]) -> str:
    """The SKUs of products, one in a line."""
    return "\n".join(sorted(Product.objects.filter(pk__in=list(product_ids)).values_list("sku", flat=True)))


class WebhookForm(ReachForm, forms.ModelForm):  # type: ignore[type-arg]
    """The form of a webhook, with all types and stores as choices."""

    many = "stores"
    undecided = _("Choose all stores, or only these.")
    stores = multiple_choice((), label=_("Only these"), help_text=_("At least one."))
    event_types = multiple_choice((), label=_("Events"), help_text=_("Tick none to send all types."))
    products = NoteField(
        label=_("Products"),
        max_length=65_000,
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
        help_text=_("SKUs, one in a line, for events about one of them; empty for all."),
    )

    class Meta:
        model = WebhookSubscription
        fields = ("name", "url", "fifo")
        labels = {"url": _("Address"), "fifo": _("In order")}
        help_texts = {
            "url": _("Where events are sent to: https://… at a public address."),
            "fifo": _("Events about the same thing wait until the one before is acknowledged."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        reach = cast(forms.ChoiceField, self.fields["reach"])
        reach.label, reach.choices = _("Stores"), [("all", _("All stores")), ("some", _("Only these"))]
        is_limited = self.instance._state.adding or self.instance.store_codes
        chosen = self.instance.store_codes if is_limited else None
        self.offer_places(Store.objects.order_by("code").values_list("code", "name"), chosen)
        types = cast(forms.MultipleChoiceField, self.fields["event_types"])
        types.choices = [(name, name) for name in sorted(registered_types())]
        self.initial["event_types"] = self.instance.types
        self.initial["products"] = _skus_of(self.instance.product_ids)
        self.product_ids: list[UUID] = []

    def clean_products(self) -> str:
        """The SKUs as they are stored. Raises ValidationError for one that no product has."""
        typed = {sku_key(line): line.strip() for line in self.cleaned_data["products"].splitlines() if line.strip()}
        if len(typed) > _MOST_PRODUCTS:
            raise forms.ValidationError(_("At most 1,000 products."))
        found = dict(Product.objects.filter(sku_key__in=typed).values_list("sku_key", "pk"))
        if unknown := [sku for key, sku in typed.items() if key not in found]:
            raise forms.ValidationError(_("There is no product with the SKU “%(sku)s”."), params={"sku": unknown[0]})
        self.product_ids = sorted(found.values())
        return _skus_of(self.product_ids)

    def clean(self) -> Any:
        """Refuse a webhook of no store: an empty list is stored for all stores."""
        given = super().clean()
        if given.get("reach") == "some" and not given.get("stores") and "stores" not in self.errors:
            self.add_error("stores", _("Tick at least one store."))
        return given

    def given(self) -> dict[str, Any]:
        """The fields of the service."""
        values = self.cleaned_data
        return {
            "name": values["name"],
            "url": values["url"],
            "fifo": values["fifo"],
            "types": sorted(values["event_types"]),
            "store_codes": sorted(self.codes() or []),
            "product_ids": self.product_ids,
        }


_STATES: Final = {
    "active": _("Active"),
    "paused": _("Paused"),
    "gone": _("Disabled: the receiver answered 410"),
    "failing": _("Disabled: nothing acknowledged for 5 days"),
}


@admin.register(WebhookSubscription)
class WebhookAdmin(ServiceAdmin):
    """Webhooks."""

    form = WebhookForm
    wordings: ClassVar[Mapping[str, LazyText]] = {"too_many_webhooks": _("There are 100 webhooks, which is the most.")}
    all_warehouses_only = True
    empty_hint = _("No webhook yet. Add one for a program that is to hear of changes of stock and reservations.")
    list_display = ("name", "state", "address", "waiting_events", "failed_events", "failing_since")
    search_fields = ("name", "url")
    search_help_text = _("A part of the name or the address, or an id")
    ordering = ("name",)
    number_columns = ("waiting_events", "failed_events")
    fieldsets = (
        (None, {"fields": ("name", "url", "fifo")}),
        (_("What is sent"), {"fields": ("event_types", "reach", "stores", "products")}),
    )
    standing = (
        _("How it does"),
        {"fields": ("state", ("waiting_events", "failed_events"), ("failing_since", "missed_at"), "keys_shown", "log")},
    )
    actions_detail = ("send_test", "pause", "resume", "resend", "replace_secret", "remove")

    send_test = dialogs.SendTestDialog.as_action(url_path="send-test", icon="send")
    pause = dialogs.PauseDialog.as_action(url_path="pause", icon="pause")
    resume = dialogs.ResumeDialog.as_action(url_path="resume", icon="play_arrow")
    resend = dialogs.ResendDialog.as_action(url_path="resend", icon="replay")
    replace_secret = dialogs.ReplaceSecretDialog.as_action(url_path="replace-secret", icon="key")
    remove = dialogs.DeleteDialog.as_action(url_path="remove", icon="delete")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookSubscription]:
        return with_counts(super().get_queryset(request))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """For users who may only view, show stores and products as lines of text."""
        if obj is None:
            return self.fieldsets
        if self.has_change_permission(request, obj):
            return (*self.fieldsets, self.standing)
        what = (_("What is sent"), {"fields": ("type_list", "store_list", "product_list")})
        return (self.fieldsets[0], what, self.standing)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        standing = ("state", "waiting_events", "failed_events", "failing_since", "missed_at", "keys_shown", "log")
        return (*standing, "type_list", "store_list", "product_list") if obj else ()

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """Offer to pause an active webhook, and to resume any other."""
        offered = super().get_actions_detail(request, object_id)
        webhook = self.get_object(request, str(object_id))
        left_out = {"resume"} if webhook is None or webhook.status == "active" else {"pause"}
        if webhook is not None and webhook.status == "disabled":
            left_out |= {"send_test", "resend"}
        dropped = self.actions_named(offered, left_out)
        return [action for action in offered if action not in dropped]

    def store(self, request: HttpRequest, form: Any, formsets: list[Any], precondition: Precondition) -> Model:
        actor = actor_of(request)
        if form.instance._state.adding:
            saved = cast(Changed, create_webhook(actor, form.given()))
            request.new_webhook = saved  # type: ignore[attr-defined]
            precondition(None)
        else:
            saved = cast(Changed, change_webhook(actor, form.instance.pk, form.given(), precondition=precondition))
        return saved.webhook

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """Show the secret of the new webhook."""
        return show_secret(self, request, request.new_webhook)  # type: ignore[attr-defined]

    @badge(_("state"), {"active": "success", "paused": "info", "gone": "danger", "failing": "danger"})
    def state(self, webhook: WebhookSubscription) -> tuple[str, Any]:
        key = webhook.disabled_because if webhook.disabled_at else webhook.status
        return key, _STATES.get(key, key)

    @admin.display(description=_("address"), ordering="url")
    def address(self, webhook: WebhookSubscription) -> str:
        return webhook.url if len(webhook.url) <= 60 else f"{webhook.url[:60]}…"

    @admin.display(description=_("waiting"), ordering="waiting")
    def waiting_events(self, webhook: WebhookSubscription) -> int:
        return int(getattr(webhook, "waiting", 0))

    @admin.display(description=_("given up"), ordering="failed")
    def failed_events(self, webhook: WebhookSubscription) -> int:
        return int(getattr(webhook, "failed", 0))

    @admin.display(description=_("public keys"))
    def keys_shown(self, webhook: WebhookSubscription) -> SafeString:
        return format_html_join("", '<code class="console-line">{}</code>', ((k,) for k in public_keys(webhook.keys)))

    @admin.display(description=_("attempts"))
    def log(self, webhook: WebhookSubscription) -> SafeString:
        listed = f"{reverse('admin:audit_webhookattempt_changelist')}?webhook={webhook.pk}"
        return link(_("All attempts"), listed)

    @admin.display(description=_("events"))
    def type_list(self, webhook: WebhookSubscription) -> str:
        return ", ".join(webhook.types) or str(_("all"))

    @admin.display(description=_("stores"))
    def store_list(self, webhook: WebhookSubscription) -> str:
        return ", ".join(webhook.store_codes) or str(_("all"))

    @admin.display(description=_("products"))
    def product_list(self, webhook: WebhookSubscription) -> str:
        return _skus_of(webhook.product_ids).replace("\n", ", ") or str(_("all"))


def show_secret(model_admin: Any, request: HttpRequest, changed: Changed) -> HttpResponse:
    """The page with a new secret, since a message would be stored in a cookie."""
    back = reverse("admin:audit_webhooksubscription_change", args=[changed.webhook.pk])
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": _("Secret"),
        "changed": changed,
        "public_key": next(iter(public_keys(changed.webhook.keys)), NOTHING),
        "way_back": back,
    }
    return TemplateResponse(request, "console/secret.html", context, headers={"Cache-Control": "no-store"})
