"""Pages on which the lines of a draft are scanned, reviewed, and posted once.

Every scan and every edited line is saved by the service before the page answers. The page works without scripts: Enter
in the field for the code sends the form, which comes back with the new line. ``scanning.js`` and ``drafts.js`` save the
reload. Each form is answered by a redirect, so that going back or loading again sends nothing again.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final
from uuid import UUID, uuid5

import msgspec
from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from uuid_utils.compat import uuid7

from audit.console.base import actor_of, claimant_of, reach_of
from audit.console.dialogs import DIALOG_KEY, SENT_BEFORE, Dialog, DialogForm, R
from audit.console.doubts import SURE
from audit.console.scans import Scan, ScanAnswer, answer_scans
from audit.console.wording import LazyText
from audit.errors import DomainError
from audit.idempotency import Claim, StoredAnswer, fingerprint
from audit.identifiers import parse_uuid
from audit.whole_numbers import NotWhole, parse_hidden_number, parse_whole_number
from inventory.admin.stock.draft_lines import (
    LINE_PREFIX,
    SEEN_PREFIX,
    ScannedLine,
    answer_changes,
    products_to_choose,
    remarks_on,
    sentence,
    take_scans,
)
from inventory.admin.stock.undo import OffersUndo
from inventory.admin.stock.unusual import Amount, AsksAboutUnusual
from inventory.models import Product
from inventory.services.drafts.expiry import lifetime
from inventory.services.drafts.lines import MOST_UNITS, ChangedLines, LineCommand
from inventory.services.drafts.posting import PostedBefore

_LONGEST_UNITS: Final = 64
"""Longer than any valid number, so that cutting a text never makes a valid number of it."""


def view_of(model_admin: Any, view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A view of ``ScanPage.as_view`` for the routes of an admin."""

    def bound(request: HttpRequest, object_id: UUID) -> HttpResponse:
        return view(model_admin, request, str(object_id))

    return bound


class ScanForm(DialogForm):
    """The details of a draft. ``once`` makes the ids of the commands of a form that is sent without scripts."""


class ScanPage(OffersUndo, AsksAboutUnusual, Dialog[R]):
    """The page of a draft: scan the lines, review them, post them.

    ``perform`` gets the chosen ending as ``given["do"]``, and the version that was reviewed as ``given["version"]``.
    """

    template: ClassVar[str] = "console/receiving/draft.html"
    is_page = True
    endings: ClassVar[Sequence[tuple[str, LazyText]]] = ()
    """The buttons of the review: the value that is sent, and the text; the first is the main button."""
    ending_form: ClassVar[type[forms.Form]] = forms.Form
    """The form of the review."""
    empty: ClassVar[LazyText] = _("Nothing scanned yet. Scan the first product, or type its SKU and press Enter.")
    takes_any: ClassVar[bool] = True
    """Whether any product can be scanned, or only those that are expected."""
    may_be_empty: ClassVar[bool] = False
    """Whether a draft without units may be reviewed and posted."""
    most_units: ClassVar[int] = MOST_UNITS
    """The most units of a line."""
    expires: ClassVar[bool] = True
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "insufficient_stock": _("Not enough available: reserved units can't leave."),
        "quantity_limit": _("That would be more than one place can have."),
        "unknown_warehouse": _("This warehouse no longer exists."),
        "unknown_product": _("This product no longer exists."),
    }
    step = "scan"

    def __init__(self, model_admin: Any, request: HttpRequest, object_id: str | None = None) -> None:
        if not request.user.has_perm(self.permission):
            raise PermissionDenied
        super().__init__(model_admin, request, object_id)
        self.faulty: dict[UUID, str] = {}
        """What was typed for lines where it is not a whole number."""

    @classmethod
    def as_view(cls, method: str) -> Callable[..., HttpResponse]:
        """A view of a method of the page: ``answer``, ``scans`` or ``changes``; for ``ModelAdmin.get_urls``."""

        def view(model_admin: Any, request: HttpRequest, object_id: str) -> HttpResponse:
            answer: HttpResponse = getattr(cls(model_admin, request, object_id), method)()
            return answer

        return view

    # ------------------------------------------------------------------------------ what a subclass must or may define

    @property
    @abstractmethod
    def draft_key(self) -> str:
        """The draft's id, which the idempotency key of its posting is made of."""

    @property
    @abstractmethod
    def version(self) -> str:
        """The version of the draft as it is shown."""

    @abstractmethod
    def stored_lines(self) -> list[ScannedLine]:
        """The lines of the draft, in the order in which the page shows them."""

    @abstractmethod
    def change_lines(self, commands: Sequence[LineCommand]) -> ChangedLines:
        """Call the service that changes lines. Raises DomainError."""

    @abstractmethod
    def set_details(self, given: dict[str, Any], seen: dict[str, Any]) -> None:
        """Call the service that changes the details, from the values of the form. Raises DomainError."""

    def posted_address(self) -> str:
        """The address of what became of the draft; empty while it is open."""
        return ""

    @property
    def review_address(self) -> str:
        """The address of the review."""
        return f"{self.address}?review"

    def notes(self, product_ids: Sequence[UUID]) -> Mapping[UUID, str]:
        """Remarks about products, by id."""
        return {}

    def problems(self, lines: Sequence[ScannedLine]) -> list[str]:
        """Why these lines can't be posted, in sentences."""
        return []

    def after(self, result: Any) -> str:
        """The address to go to once the draft is posted."""
        return self.posted_address() or self.way_back()

    # ----------------------------------------------------------------------------------------------------- the answers

    def answer(self) -> HttpResponse:
        is_post = self.request.method == "POST"
        if address := self.posted_address():
            if is_post:
                messages.info(self.request, SENT_BEFORE)
            return redirect(address)
        if is_post:
            return self._act()
        if "review" in self.request.GET:
            return self._review()
        return self._page(self._stored_form())

    def scans(self) -> HttpResponse:
        """The answer to scans, as JSON."""
        return answer_scans(self.request, self._take, known_for=lifetime())

    def changes(self) -> HttpResponse:
        """The answer to edited and removed lines, as JSON."""
        return answer_changes(self.request, self.change_lines, self.notes)

    def _take(self, scans: Sequence[Scan]) -> ScanAnswer:
        return take_scans(actor_of(self.request), scans, self.change_lines, self.notes)

    def _act(self) -> HttpResponse:
        """Save what was typed, then do what was asked."""
        do, _colon, argument = self.request.POST.get("do", "").partition(":")
        if do == "post":
            return self._post(argument)
        form = self._save()
        if form.errors:
            return self._page(form, status=422)
        address = self._scan(argument if do == "choose" else "")
        if do == "remove" and (product_id := parse_uuid(argument)):
            self._show([self._command("remove", product_id, 0)])
        return redirect(address or (self.review_address if do == "review" else self.address))

    def _scan(self, line: str) -> str:
        """Add the code in the form, or one unit of the product with this id, chosen among several with a code.

        Returns the address to go to if no line took it; empty otherwise.
        """
        code = self.request.POST.get("code", "").strip()[:500]
        if not code and not line:
            return ""
        scan = Scan(id=uuid5(self._once(), "add"), code="" if line else code, line=line[:100])
        (outcome,) = self._take([scan]).outcomes
        is_taken = outcome.status in {"added", "repeat"}
        (messages.success if is_taken else messages.error)(self.request, outcome.message)
        if is_taken:
            return ""
        return f"{self.address}?{urlencode({'which': code})}" if outcome.choices else self.address

    def _show(self, commands: Sequence[LineCommand]) -> None:
        """Carry out commands, and show what they did not do."""
        skus = {line.product_id: line.sku for line in self.stored_lines()}
        for outcome in self.change_lines(commands).outcomes:
            if outcome.verdict not in {"done", "repeat"}:
                messages.error(self.request, sentence(outcome, skus.get(outcome.command.product_id, "")))

    # --------------------------------------------------------------------------------------------------- what is typed

    def _once(self) -> UUID:
        return parse_uuid(self.request.POST.get("once", "")) or uuid7()

    def _command(self, do: Any, product_id: UUID, units: int) -> LineCommand:
        seen = self.request.POST.get(f"{SEEN_PREFIX}{product_id}", "")
        command_id = uuid5(self._once(), f"{do} {product_id}")
        return LineCommand(command_id, product_id, do, units, parse_hidden_number(seen))

    def _typed(self) -> tuple[list[LineCommand], list[str]]:
        """The commands for lines whose units were changed, and what is wrong with others."""
        commands, faults = [], []
        for name, value in self.request.POST.items():
            product_id = parse_uuid(name.removeprefix(LINE_PREFIX)) if name.startswith(LINE_PREFIX) else None
            if product_id is None:
                continue
            text = str(value)[:_LONGEST_UNITS].strip()
            try:
                units = parse_whole_number(text, least=0, most=self.most_units) if text else 0
            except NotWhole as error:
                self.faulty[product_id] = text
                sku = Product.objects.filter(pk=product_id).values_list("sku", flat=True).first() or ""
                faults.append(f"{sku}: {error}")
                continue
            command = self._command("set", product_id, units)
            if units != command.seen:
                commands.append(command)
        return commands, faults

    def _save(self) -> DialogForm:
        """Save the details and the lines that were typed. The form has the errors of what was not saved."""
        form = self.make_form(data=self.request.POST)
        form.is_valid()
        commands, faults = self._typed()
        if commands:
            self._show(commands)
        for fault in faults:
            form.add_error(None, fault)
        if not form.errors:
            seen = self.make_form(data={name: self._seen(name) for name in form.fields} | {"once": uuid7()})
            seen.is_valid()
            try:
                self.set_details(form.cleaned_data, seen.cleaned_data)
            except DomainError as error:
                self.refuse(form, error)
        return form

    def _seen(self, name: str) -> str:
        return str(self.request.POST.get(f"{SEEN_PREFIX}{name}", ""))

    # ---------------------------------------------------------------------------------------------- review and posting

    def _review(self) -> HttpResponse:
        lines = [line for line in self.stored_lines() if line.quantity]
        problems = self.problems(lines)
        if not lines and not self.may_be_empty:
            problems.append(str(_("There is nothing to post yet: scan a product first.")))
        for problem in problems:
            messages.error(self.request, problem)
        if problems:
            return redirect(self.address)
        self.step, self.doubts = "review", self.find_doubts({})
        return self._page(self._stored_form())

    def amounts(self, given: Mapping[str, Any]) -> Iterable[Amount]:
        return (Amount(line.product_id, line.sku, line.quantity) for line in self.stored_lines() if line.quantity)

    def _post(self, ending: str) -> HttpResponse:
        asked = self.ending_form(data=self.request.POST)
        self.doubts = self.find_doubts({})
        if self.doubts and self.request.POST.get(SURE) != self.sure:
            messages.error(self.request, _("Nothing was posted: check the figures, and tick the box below them."))
            return redirect(self.review_address)
        if not asked.is_valid():
            self.step = "review"
            return self._page(self._stored_form(), status=422, asked=asked)
        given = {**asked.cleaned_data, "do": ending, "version": self.request.POST.get("version", "")}
        try:
            result = self.perform(actor_of(self.request), given, self._posting_claim())
        except DomainError as error:
            for words in self.refusals(error):
                messages.error(self.request, words)
            return redirect(self.review_address)
        if isinstance(result, StoredAnswer | PostedBefore):
            messages.info(self.request, SENT_BEFORE)
        else:
            messages.success(self.request, self.notice(result))
        return redirect(self.after(result))

    def _posting_claim(self) -> Claim:
        print_ = fingerprint("POST", self.address, self.draft_key.encode(), reach_of(self.request))
        return Claim(claimant_of(self.request), f"{DIALOG_KEY}draft-{self.draft_key}", print_, self._rendered)

    def _rendered(self, result: Any) -> StoredAnswer:
        return StoredAnswer(200, msgspec.json.encode("posted"))

    def refusals(self, error: DomainError) -> list[str]:
        """Why nothing was posted, and the lines that are short, by SKU."""
        words = _("%(sku)s: %(wanted)s wanted, %(free)s free.")
        skus = {str(line.product_id): line.sku for line in self.stored_lines()}
        short = []
        for fault in error.faults:
            sku = skus.get(str(fault.facts.get("variantId") or fault.facts.get("productId")))
            if sku and "available" in fault.facts:
                values = {"sku": sku, "wanted": fault.facts["requested"], "free": fault.facts["available"]}
                short.append(str(words) % values)
        return [self.wording_of(error), *short]

    # ------------------------------------------------------------------------------------------------ for the template

    def _stored_form(self) -> DialogForm:
        return self.make_form(initial={"once": uuid7(), **self.initial()})

    def _page(self, form: DialogForm, status: int = 200, asked: forms.Form | None = None) -> HttpResponse:
        self.lines = self.stored_lines()
        remarks = remarks_on([line.product_id for line in self.lines], self.notes)
        for line in self.lines:
            remark = remarks[line.product_id]
            line.note, line.warning = str(remark._replace(note=remark.note or line.note)), remark.warning
            line.typed = self.faulty.get(line.product_id)
        self.asked = asked or self.ending_form()
        self.seen = [(f"{SEEN_PREFIX}{name}", self._shown(name)) for name in form.fields if name != "once"]
        return super()._page(form, status)

    def _shown(self, name: str) -> Any:
        """The stored value of a detail, as its field shows it."""
        bound = self._stored_form()[name]
        shown: Any = bound.field.widget.format_value(bound.value())
        return (shown[0] if isinstance(shown, list) and shown else shown) or ""

    @property
    def reviewed(self) -> list[tuple[LazyText, Any]]:
        """The details that are not empty, as pairs of label and value."""
        return [
            (bound.label, dict(getattr(bound.field, "choices", ())).get(bound.value(), bound.value()))
            for bound in self._stored_form().visible_fields()
            if bound.value()
        ]

    @property
    def state_fields(self) -> list[tuple[str, str]]:
        """Hidden fields of the review, besides the version."""
        return []

    @property
    def choices(self) -> list[Product]:
        """The products of a code that several have, to choose one of; empty if there is none to ask about."""
        return products_to_choose(self.request.GET.get("which", ""))

    @property
    def days(self) -> int:
        """How long the draft is kept after its last change, in days."""
        return int(settings.DRAFT_DAYS)

    @property
    def line_count(self) -> int:
        """The number of lines with units."""
        return sum(1 for line in self.lines if line.quantity)

    @property
    def unit_count(self) -> int:
        """The units of all lines."""
        return sum(line.quantity for line in self.lines)

    @property
    def total(self) -> str:
        """The numbers of lines and units, in words."""
        units, count = self.unit_count, self.line_count
        first = ngettext("%(count)s product", "%(count)s products", count) % {"count": count}
        return f"{first}, {ngettext('%(count)s unit', '%(count)s units', units) % {'count': units}}"

    @property
    def shown(self) -> Sequence[ScannedLine]:
        """The lines to review: all expected ones, including those without units, if only these can be scanned."""
        return [line for line in self.lines if line.quantity or not self.takes_any]
