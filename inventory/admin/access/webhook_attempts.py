"""The log of attempts to deliver webhooks in the console."""

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from audit.console.base import ReadOnlyAdmin, badge, pretty_json
from audit.console.filters import SetByLinks, filtered
from audit.display import NOTHING
from audit.identifiers import NIL, parse_uuid
from audit.models import WebhookAttempt, WebhookSubscription


class ByWebhook(SetByLinks):
    """Filter by webhook."""

    title = _("webhook")
    parameter_name = "webhook"

    def name_of(self, chosen: str) -> str:
        found = WebhookSubscription.objects.filter(pk=parse_uuid(chosen) or NIL).first()
        return str(found or chosen)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(subscription_id=parse_uuid(chosen) or NIL) if (chosen := self.value()) else queryset


@admin.register(WebhookAttempt)
class WebhookAttemptAdmin(ReadOnlyAdmin):
    """Attempts, the newest first."""

    all_warehouses_only = True
    id_fields = ("pk", "event_id", "subscription_id")
    list_display = ("at", "webhook", "outcome", "type", "key", "number", "milliseconds")
    list_display_links = ("at",)
    list_filter = ("is_delivered", ByWebhook)
    search_fields = ("key__exact", "type__exact")
    search_help_text = _("Key or type of an event, or the id of an event or a webhook")
    sortable_by = ()
    ordering = ("-id",)
    empty_hint = _("No attempt is kept. Each request to a webhook is one, delivered or not.")
    fields = (
        ("at", "webhook"),
        ("outcome", "milliseconds"),
        ("type", "key"),
        ("number", "bytes"),
        "event_id",
        "url",
        "headers",
        "answer",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookAttempt]:
        names = WebhookSubscription.objects.filter(pk=OuterRef("subscription_id")).values("name")
        attempts: QuerySet[WebhookAttempt] = super().get_queryset(request)
        return attempts.annotate(webhook_called=Subquery(names))

    @admin.display(description=_("webhook"))
    def webhook(self, attempt: WebhookAttempt) -> SafeString | str:
        name = getattr(attempt, "webhook_called", None)
        return filtered(name, webhook=attempt.subscription_id) if name else NOTHING

    @badge(_("outcome"), {"delivered": "success", "failed": "danger"})
    def outcome(self, attempt: WebhookAttempt) -> tuple[str, Any]:
        if attempt.is_delivered:
            return "delivered", _("Delivered (%(status)s)") % {"status": attempt.status}
        if attempt.status is None:
            return "failed", _("No answer")
        return "failed", _("Failed (%(status)s)") % {"status": attempt.status}

    @admin.display(description=_("request headers"))
    def headers(self, attempt: WebhookAttempt) -> SafeString:
        return pretty_json(attempt.request)
