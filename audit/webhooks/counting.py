"""Numbers of deliveries of webhooks."""

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from audit.subscriptions import WebhookDelivery, WebhookSubscription

_FAILED = Q(state=WebhookDelivery.State.FAILED)


def with_counts(found: QuerySet[WebhookSubscription]) -> QuerySet[WebhookSubscription]:
    """Webhooks with the numbers of events that are ``waiting`` and that ``failed``."""
    return found.annotate(waiting=_count(~_FAILED), failed=_count(_FAILED))


def _count(which: Q) -> Coalesce:
    mine = WebhookDelivery.objects.filter(which, subscription=OuterRef("pk")).order_by()
    return Coalesce(Subquery(mine.values("subscription").annotate(n=Count("pk")).values("n")), 0)


def counted(webhook: WebhookSubscription) -> WebhookSubscription:
    """A webhook with its counts, as ``with_counts``."""
    return with_counts(WebhookSubscription.objects.filter(pk=webhook.pk)).first() or webhook
