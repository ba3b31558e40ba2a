"""Pages that receive a delivery: begin or continue its draft, scan it, post it once, and see what was posted."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, cast
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from audit.actors import Actor
from audit.console.base import actor_of
from audit.console.dialogs import ChoiceField, Dialog, DialogForm, ReasonField, ReferenceField
from audit.console.wording import LazyText, share_wordings
from audit.idempotency import Claim, StoredAnswer
from audit.identifiers import NIL, parse_uuid
from audit.whole_numbers import parse_hidden_number
from inventory.admin.stock.draft_lines import ScannedLine
from inventory.admin.stock.scanning import ScanForm, ScanPage, view_of
from inventory.admin.stock.unfinished import (
    BEGUN_BEFORE,
    Unfinished,
    delivery_address,
    left_behind_deliveries,
    unfinished_deliveries,
)
from inventory.admin.stock.warehouse_choices import warehouse_choices
from inventory.models import ReceivingDraft, StockDocument
from inventory.services.catalogue.stock_warnings import in_words, warnings_of
from inventory.services.drafts import posting, receiving
from inventory.services.drafts.lines import ChangedLines, LineCommand
from inventory.services.drafts.posting import PostDraftRequest, PostedBefore
from inventory.services.drafts.receiving import DraftDetails
from inventory.services.stock.adjustments import Adjusted

share_wordings(
    {
        "draft_changed": _("It was changed in another tab or on another device. Nothing was posted: check it again."),
        "draft_posted": _("This was posted before; nothing was booked twice."),
    }
)


def draft_lines(draft_id: UUID) -> list[ScannedLine]:
    """The lines of a delivery, the latest first."""
    rows = ReceivingDraft(pk=draft_id).lines.select_related("product").order_by("-id")
    return [ScannedLine(row.product_id, row.product.sku, row.product.name, row.quantity) for row in rows]


def _with_warehouses(form: DialogForm, request: HttpRequest) -> DialogForm:
    """Fill the choices of a form with the warehouses in the user's reach."""
    cast(forms.ChoiceField, form.fields["warehouse"]).choices = warehouse_choices(request)
    return form


class BeginForm(ScanForm):
    """The warehouse of a delivery, and the number of its document."""

    warehouse = ChoiceField(label=_("Warehouse"))
    reference = ReferenceField()


class DeliveryForm(BeginForm):
    """The details of a delivery."""

    reason = ReasonField(label=_("Reason"), initial=_("Delivery"), max_length=200)


class BeginPage(Dialog[UUID]):
    """Begin a delivery, or continue one. Who works in one warehouse and has nothing to continue can scan at once."""

    title = _("Receive a delivery")
    permission = "inventory.receive_stock"
    form_class = BeginForm
    is_page = True
    template = "console/receiving/begin.html"
    submit = _("Begin scanning")
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "unknown_warehouse": _("This warehouse no longer exists."),
    }

    def make_form(self, **arguments: Any) -> DialogForm:
        return _with_warehouses(super().make_form(**arguments), self.request)

    def answer(self) -> HttpResponse:
        choices = warehouse_choices(self.request)
        is_asked = self.request.method == "POST" or not self.request.user.has_perm(self.permission)
        if is_asked or len(choices) != 1 or self.unfinished:
            return super().answer()
        return redirect(delivery_address(_begun(actor_of(self.request), choices[0][0], "")))

    @cached_property
    def unfinished(self) -> list[Unfinished]:
        """The user's deliveries that were begun, and those that can be taken over."""
        actor = actor_of(self.request)
        return unfinished_deliveries(actor) + left_behind_deliveries(actor)

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> UUID:
        return _begun(actor, given["warehouse"], given["reference"])

    def tell(self, result: UUID) -> str:
        return ""

    def done(self, result: UUID) -> HttpResponse:
        if draft_lines(result):
            messages.info(self.request, BEGUN_BEFORE)
        return redirect(delivery_address(result))


def _begun(actor: Actor, warehouse: str, reference: str) -> UUID:
    return receiving.open_delivery(actor, warehouse, reference, str(_("Delivery")))


class DeliveryPage(ScanPage[Adjusted | PostedBefore]):
    """The draft of a delivery; once it is posted, what was posted."""

    title = _("Receive a delivery")
    permission = "inventory.receive_stock"
    form_class = DeliveryForm
    usual_of = "RECEIPT"
    endings = (("receive", _("Receive all")),)
    subject: ReceivingDraft

    def _find(self, object_id: str | None) -> Any:
        drafts = ReceivingDraft.objects.own(actor_of(self.request)).filter(transfer__isnull=True)
        found = drafts.select_related("warehouse").filter(pk=parse_uuid(str(object_id)) or NIL).first()
        if found is None:
            raise Http404
        return found

    def make_form(self, **arguments: Any) -> DialogForm:
        return _with_warehouses(super().make_form(**arguments), self.request)

    @property
    def address(self) -> str:
        return delivery_address(self.subject.pk)

    @property
    def scan_address(self) -> str:
        """The address that takes scans."""
        return delivery_address(self.subject.pk, "scans")

    @property
    def change_address(self) -> str:
        """The address that takes edited lines."""
        return delivery_address(self.subject.pk, "changes")

    @property
    def discard_address(self) -> str:
        """The address of the dialog that discards the draft."""
        return delivery_address(self.subject.pk, "discard")

    @property
    def draft_key(self) -> str:
        return str(self.subject.pk)

    @property
    def version(self) -> str:
        return str(self.subject.version)

    def way_back(self) -> str:
        return f"{reverse('admin:inventory_movement_changelist')}?type__exact=RECEIPT"

    def answer(self) -> HttpResponse:
        if self.subject.posted_at is None:
            return super().answer()
        if self.request.method == "POST":
            messages.info(self.request, _("This delivery was received before: nothing was booked twice."))
            return redirect(self.address)
        return self._posted_page()

    def _posted_page(self) -> HttpResponse:
        """The page of a delivery that was posted."""
        document = StockDocument.objects.filter(pk=self.subject.adjustment_id or NIL).first()
        self.lines = self.stored_lines()
        context = {
            **self.model_admin.admin_site.each_context(self.request),
            "opts": self.model_admin.opts,
            "title": self.title,
            "dialog": self,
            "document": document,
        }
        return TemplateResponse(self.request, "console/receiving/posted.html", context)

    # ------------------------------------------------------------------------------------------------------- the draft

    def initial(self) -> dict[str, Any]:
        draft = self.subject
        return {"warehouse": draft.warehouse.code, "reference": draft.reference, "reason": draft.note}

    def stored_lines(self) -> list[ScannedLine]:
        return draft_lines(self.subject.pk)

    def notes(self, product_ids: Sequence[UUID]) -> Mapping[UUID, str]:
        """What is frozen or discontinued."""
        found = warnings_of(product_ids, self.subject.warehouse.code)
        return {product_id: in_words(warnings) for product_id, warnings in found.items()}

    def change_lines(self, commands: Sequence[LineCommand]) -> ChangedLines:
        return receiving.change_lines(actor_of(self.request), self.subject.pk, commands)

    def set_details(self, given: dict[str, Any], seen: dict[str, Any]) -> None:
        receiving.set_details(actor_of(self.request), self.subject.pk, _details(given), _details(seen))

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Adjusted | PostedBefore | StoredAnswer:
        version = parse_hidden_number(given["version"])
        return posting.post_delivery(PostDraftRequest(actor, self.subject.pk, version, claim))

    def after(self, result: Any) -> str:
        return self.address

    def tell(self, result: Adjusted | PostedBefore) -> str:
        if isinstance(result, PostedBefore):
            return ""
        units, count = sum(line.adjustment.quantity for line in result.lines), len(result.lines)
        words = {
            "units": ngettext("%(count)s unit", "%(count)s units", units) % {"count": units},
            "lines": ngettext("%(count)s line", "%(count)s lines", count) % {"count": count},
            "place": self.subject.warehouse.name,
        }
        return str(_("Received %(units)s on %(lines)s into %(place)s.")) % words


def _details(values: Mapping[str, Any]) -> DraftDetails:
    return DraftDetails(values.get("warehouse", ""), values.get("reference", ""), values.get("reason", ""))


class _DraftDialog(Dialog[None]):
    """A dialog about the draft of a delivery."""

    permission = "inventory.receive_stock"
    subject: ReceivingDraft

    def _find(self, object_id: str | None) -> Any:
        return self.draft_of(object_id) if self.request.user.has_perm(self.permission) else None

    @abstractmethod
    def draft_of(self, object_id: str | None) -> ReceivingDraft | None:
        """The draft of the address. Raises Http404."""

    def about(self) -> list[tuple[LazyText, Any]]:
        draft = self.subject
        named = [(_("Reference"), draft.reference)] if draft.reference else []
        return [(_("Warehouse"), draft.warehouse.code), *named, (_("Lines"), draft.lines.count())]

    def way_back(self) -> str:
        return reverse("admin:inventory_movement_receive_delivery")


class DiscardDialog(_DraftDialog):
    """Discard a draft of a delivery, with all its lines."""

    title = _("Discard this delivery")
    intro = _("Its lines are deleted, and nothing is received. This can't be undone.")
    submit = _("Discard")
    is_final = True

    def draft_of(self, object_id: str | None) -> ReceivingDraft | None:
        return DeliveryPage(self.model_admin, self.request, object_id).subject

    def answer(self) -> HttpResponse:
        if self.subject is not None and self.subject.posted_at is not None:
            return redirect(delivery_address(self.subject.pk))
        return super().answer()

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> None:
        receiving.discard(actor, self.subject.pk)

    def tell(self, result: None) -> str:
        return str(_("The delivery was discarded. Nothing was received."))


class TakeOverDialog(_DraftDialog):
    """Take over the draft of a delivery from an account that is switched off or deleted."""

    title = _("Take over this delivery")
    intro = _("It becomes yours with all its lines: continue it, or discard it.")
    submit = _("Take over")
    is_page = True
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "draft_changed": _("You have an open delivery with this reference yourself. Post or discard that one first."),
    }

    def draft_of(self, object_id: str | None) -> ReceivingDraft | None:
        actor, found = actor_of(self.request), parse_uuid(str(object_id)) or NIL
        reached = ReceivingDraft.objects.left_behind(actor) | ReceivingDraft.objects.own(actor)
        draft = reached.filter(pk=found, transfer__isnull=True).select_related("warehouse").first()
        if draft is None:
            raise Http404
        return draft

    def answer(self) -> HttpResponse:
        if self.subject is not None and self.subject.account_id == actor_of(self.request).account_id:
            return redirect(delivery_address(self.subject.pk))
        return super().answer()

    def about(self) -> list[tuple[LazyText, Any]]:
        return [(_("Begun by"), self.subject.owner), *super().about()]

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> None:
        receiving.take_over(actor, self.subject.pk)

    def tell(self, result: None) -> str:
        return str(_("The delivery is yours now. Its lines are kept."))

    def done(self, result: None) -> HttpResponse:
        messages.success(self.request, self.notice(result))
        return redirect(delivery_address(self.subject.pk))


class Receiving:
    """The action and the pages of deliveries, for the list of movements."""

    actions_list = ("receive_delivery",)
    admin_site: Any

    receive_delivery = BeginPage.as_action(url_path="receive", icon="barcode_scanner")

    def get_urls(self) -> list[URLPattern]:
        """The pages of a draft, and the addresses that take its scans and edits."""
        pages: dict[str, Callable[..., HttpResponse]] = {
            "": DeliveryPage.as_view("answer"),
            "scans": DeliveryPage.as_view("scans"),
            "changes": DeliveryPage.as_view("changes"),
            "discard": _discard,
            "take_over": _take_over,
        }
        own = [
            path(
                f"receive/<uuid:object_id>/{f'{page}/' if page else ''}",
                self.admin_site.admin_view(view_of(self, view)),
                name=f"inventory_movement_delivery{f'_{page}' if page else ''}",
            )
            for page, view in pages.items()
        ]
        return [*own, *super().get_urls()]  # type: ignore[misc]


def _take_over(model_admin: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    return TakeOverDialog(model_admin, request, object_id).answer()


def _discard(model_admin: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    return DiscardDialog(model_admin, request, object_id).answer()
