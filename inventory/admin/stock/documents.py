"""Documents of what was posted by hand: their list, their page, their labels, and Reverse."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from audit.actors import Actor
from audit.console.base import ReadOnlyAdmin, actor_of, badge, in_pairs, non_empty_fields
from audit.console.dialogs import Dialog, DialogForm, ReasonField, staff_action
from audit.console.filters import link
from audit.console.wording import LazyText
from audit.errors import DomainError
from audit.idempotency import Claim, StoredAnswer
from audit.whole_numbers import grouped
from inventory.admin.catalogue.printing import print_document
from inventory.admin.stock.dialogs import LINE_INDEX
from inventory.admin.stock.marks import with_warnings
from inventory.admin.stock.numbers import FoundByNumber
from inventory.admin.stock.undo import REVERSE_PERMISSION, OffersUndo
from inventory.models import Movement, StockDocument
from inventory.models.stock import MovementQuerySet
from inventory.services.stock.adjustments import Adjusted
from inventory.services.stock.documents import movements_of, taken_back
from inventory.services.stock.reversing import ReverseRequest, reverse_document

_MOST_FACTS = 10
_MOST_LINES = 500


class ReverseForm(DialogForm):
    """Why a document is reversed."""

    reason = ReasonField(initial=_("Posted by mistake"))


def reversed_text(document: StockDocument) -> SafeString:
    """The sentence about a document that was reversed, with a link to the reversal."""
    reversal = cast(StockDocument, document.reversal)
    page = reverse("admin:inventory_stockdocument_change", args=[reversal.pk])
    return format_html(str(_("{} was reversed before, by {}.")), document.short_number, link(reversal, page))


class ReverseDialog(OffersUndo, Dialog[Adjusted]):
    """Reverse a document: all of its lines, or none."""

    title = _("Reverse this document")
    intro = _("Posts the opposite of each line. Units that are reserved or no longer there can't be reversed.")
    submit = _("Reverse")
    permission = REVERSE_PERMISSION
    form_class = ReverseForm
    is_final = True
    subject: StockDocument
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "insufficient_stock": _(
            "Some units are no longer available. Nothing was changed: adjust the available ones instead."
        ),
        "archived": _("Its movements are archived. Adjust the stock instead."),
        "reversal_is_final": _("This is a reversal. Post the change again instead."),
    }

    def _find(self, object_id: str | None) -> Any:
        found = cast(StockDocument, super()._find(object_id))
        if not found.is_in_reach(actor_of(self.request)):
            raise Http404
        return found

    def answer(self) -> HttpResponse:
        if self.request.method != "POST" and self.subject.reversal and self.request.user.has_perm(self.permission):
            messages.info(self.request, reversed_text(self.subject))
            return redirect(self.way_back())
        return super().answer()

    def about(self) -> list[tuple[LazyText, Any]]:
        movements = taken_back(self.subject)
        lines = [(_place(move), f"{-move.quantity:+d}") for move in movements[:_MOST_FACTS]]
        rest = movements.count() - len(lines)
        more = ngettext("and %(count)s more line", "and %(count)s more lines", rest) % {"count": rest}
        return [*lines, (more, "")] if rest else cast(list[tuple[LazyText, Any]], lines)

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Adjusted | StoredAnswer:
        return reverse_document(ReverseRequest(actor, self.subject.pk, given["reason"], claim))

    def refuse(self, form: DialogForm, error: DomainError) -> None:
        if error.code == "document_reversed":
            document = StockDocument.objects.get(pk=self.subject.pk)
            return form.add_error(None, reversed_text(document))
        super().refuse(form, error)
        movements = list(taken_back(self.subject)) if error.faults else []
        for fault in error.faults:
            found = LINE_INDEX.match(fault.pointer)
            if found and "available" in fault.facts:
                words = _("%(place)s: %(wanted)s to reverse, %(free)s available.")
                values = {"place": _place(movements[int(found[1])])}
                values |= {"wanted": fault.facts["requested"], "free": max(0, fault.facts["available"])}
                form.add_error(None, str(words) % values)
        return None

    def tell(self, result: Adjusted) -> str:
        return str(_("%(number)s is reversed.")) % {"number": self.subject.short_number}


def _place(move: Movement) -> str:
    return str(move.level.place)


@admin.register(StockDocument)
class StockDocumentAdmin(FoundByNumber, ReadOnlyAdmin):
    """Documents, the newest first."""

    number_kinds = tuple(StockDocument.Kind.values)
    list_display = ("short_number", "what", "state", "warehouses", "reference", "reason", "actor", "created_at")
    list_filter = ("kind",)
    list_select_related = ("reversed_by", "reverses")
    search_fields = ("reference__exact", "actor__exact")
    search_help_text = _("A number such as RC-1042, a whole reference or name, or an id")
    ordering = ("-id",)
    sortable_by = ()
    empty_hint = _("No documents yet. Receive a delivery or adjust stock to create one.")
    actions_detail = ("labels", "reverse")
    change_form_after_template = "console/documents/lines.html"

    def within(self, rows: Any, actor: Actor) -> QuerySet[StockDocument]:
        """The documents with a warehouse in the actor's reach."""
        documents: QuerySet[StockDocument] = rows.visible_to(actor)
        return documents

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Only fields with a value."""
        facts = [
            "what",
            "state",
            "warehouses",
            *non_empty_fields(obj, "reference", "reason", "file_name"),
            "actor",
            "created_at",
        ]
        return in_pairs(facts)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Add the lines: the movements in reach."""
        document = self.get_object(request, object_id) if self.has_view_permission(request) else None
        context = dict(extra_context or {})
        if document is not None:
            moves = self._moves(request, document)
            context["moves"], context["unshown"] = list(moves[:_MOST_LINES]), max(0, moves.count() - _MOST_LINES)
            context["unshown_in_words"] = grouped(context["unshown"])
            with_warnings(move.level for move in context["moves"])
            context["hidden"] = not document.is_in_reach(actor_of(request))
        answer: HttpResponse = super().change_view(request, object_id, form_url, context)
        return answer

    @staticmethod
    def _moves(request: HttpRequest, document: StockDocument) -> MovementQuerySet:
        return movements_of(document).visible_to(actor_of(request))

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Reverse is offered until it is done, and only to users who have all of its warehouses in reach."""
        document = self.get_object(request, str(object_id))
        if document is None:
            return []
        offered: list[Any] = super().get_actions_detail(request, object_id)
        is_open = document.kind != StockDocument.Kind.REVERSAL and document.reversal is None
        may = {"labels", "reverse"} if is_open and document.is_in_reach(actor_of(request)) else {"labels"}
        return self.actions_named(offered, may)

    reverse = ReverseDialog.as_action(url_path="reverse", icon="undo", label=_("Reverse"))

    @staff_action(_("Print labels"), url_path="labels", icon="print", permission="inventory.view_stockdocument")
    def labels(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The labels of its lines, one for each product."""
        document = self.get_object(request, object_id)
        if document is None:
            raise Http404
        products = [move.level.product for move in self._moves(request, document)]
        page = reverse("admin:inventory_stockdocument_change", args=[document.pk])
        return print_document(request, document.short_number, products, page)

    @admin.display(description=_("document"))
    def short_number(self, document: StockDocument) -> str:
        return document.short_number

    @admin.display(description=_("type"))
    def what(self, document: StockDocument) -> str:
        return document.get_kind_display()

    @admin.display(description=_("warehouses"))
    def warehouses(self, document: StockDocument) -> str:
        return ", ".join(document.warehouse_codes)

    @badge(_("status"), {"posted": "success", "reversed": "warning", "reversal": "info"})
    def state(self, document: StockDocument) -> tuple[str, Any]:
        if document.reverses:
            return "reversal", _("Reverses %(number)s") % {"number": document.reverses}
        reversal = document.reversal
        if reversal:
            return "reversed", _("Reversed by %(number)s") % {"number": reversal}
        return "posted", _("Posted")
