"""The recall of a product, to look at and to print. It is here and not in inventory because it shows holds."""

from typing import Any, ClassVar, Final

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit.console.base import actor_of
from audit.console.dialogs import staff_action
from inventory.admin.catalogue.products import ProductAdmin
from inventory.models import Product
from inventory.services.catalogue.stock_warnings import in_words, warnings_of
from reservations.services.availability.recall import MOST_ROWS, read_recall

DAYS: Final = (7, 30, 90, 365)
_DEFAULT_DAYS: Final = 30


@admin.register(Product)
class RecalledProductAdmin(ProductAdmin):
    """The admin of products, with a page for the recall of each."""

    actions_detail: ClassVar[tuple[str, ...]] = (*ProductAdmin.actions_detail, "recall")

    @staff_action(_("Recall"), url_path="recall", icon="assignment_return", permission="inventory.view_product")
    def recall(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Places, quantities, active holds and orders of the last days, in the user's reach."""
        product = self.get_object(request, object_id)
        if product is None:
            raise Http404
        asked = request.GET.get("days", "")
        days = int(asked) if asked in {str(choice) for choice in DAYS} else _DEFAULT_DAYS
        context: dict[str, Any] = {
            "title": _("Recall of %(sku)s") % {"sku": product.sku},
            "product": product,
            "warned": in_words(warnings_of([product.pk]).get(product.pk, ())),
            "recall": read_recall(actor_of(request), product, days=days),
            "may_see_holds": request.user.has_perm("reservations.view_reservation"),
            "may_see_movements": request.user.has_perm("inventory.view_movement"),
            "days": days,
            "choices": DAYS,
            "most": MOST_ROWS,
            "now": timezone.localtime(),
            "way_back": reverse("admin:inventory_product_change", args=[product.pk]),
        }
        return TemplateResponse(request, "console/recall.html", context)
