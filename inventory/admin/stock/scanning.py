"""Pages on which many lines are scanned, reviewed and sent once.

The page works without scripts: Enter in the field for the code sends the form, which comes back with the new line and
the focus in that field. ``flows.js`` saves the reload, so that the next scan need not wait for the last.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, cast
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from uuid_utils.compat import uuid7

from audit.console.base import actor_of
from audit.console.dialogs import Dialog, DialogForm, R
from audit.console.numbers import MOST_UNITS
from audit.console.wording import LazyText
from audit.errors import DomainError
from audit.identifiers import parse_uuid
from audit.whole_numbers import NotWhole, parse_whole_number
from inventory.admin.stock.unusual import Amount, AsksAboutUnusual
from inventory.models import Product, Warehouse
from inventory.models.catalogue import WarehouseQuerySet
from inventory.services.catalogue.codes import products_by_code

MOST_LINES: Final = 200
"""The most lines of a page: the same as of an API request."""
_PREFIX: Final = "units-"
_LONGEST_CODE: Final = 64
_LONGEST_UNITS: Final = 64
"""Enough that nothing which is too long becomes a number by being cut."""


@dataclass(frozen=True, slots=True)
class ScannedLine:
    """A product and its units, as typed. ``note`` is a remark about the product; ``most`` the most units allowed."""

    product_id: UUID
    sku: str
    name: str
    typed: str
    note: str = ""
    most: int | None = None

    @property
    def units(self) -> int | None:
        """0 if blank, None if not a whole number."""
        return None if self.fault else self._parsed()

    @property
    def fault(self) -> str:
        """Why the units are not a whole number; empty if they are."""
        try:
            self._parsed()
        except NotWhole as error:
            return str(error)
        return ""

    def _parsed(self) -> int:
        """0 if blank. Raises NotWhole. What arrives may be all that is on its way, which may have been many lines."""
        most = max(MOST_UNITS, self.most or 0)
        return parse_whole_number(self.typed, least=0, most=most) if self.typed.strip() else 0

    @property
    def rest(self) -> int:
        """The units missing to ``most``; negative if there are too many."""
        return (self.most or 0) - (self.units or 0)

    @property
    def field(self) -> str:
        """The name of the line's form field."""
        return f"{_PREFIX}{self.product_id}"


def warehouse_choices(request: HttpRequest) -> list[tuple[str, str]]:
    """The active warehouses in the user's reach, by code. One of them needs no choice."""
    return _choices(Warehouse.objects.visible_to(actor_of(request)))


def destination_choices(request: HttpRequest) -> list[tuple[str, str]]:
    """The active warehouses that the user may send to, by code."""
    return _choices(Warehouse.objects.destinations_for(actor_of(request)))


def _choices(warehouses: WarehouseQuerySet) -> list[tuple[str, str]]:
    rows = warehouses.filter(is_active=True).order_by("code")
    known = [(row.code, f"{row.code} – {row.name}") for row in rows]
    return known if len(known) == 1 else [("", str(_("Choose a warehouse"))), *known]


class ScanForm(DialogForm):
    """The fields besides the lines."""


class ScanPage(AsksAboutUnusual, Dialog[R]):
    """A page for scanning lines, then reviewing all of them, then one service call.

    A subclass defines what ``Dialog`` requires. ``perform`` gets the lines as ``given["lines"]``, and the chosen ending
    as ``given["do"]``.
    """

    template: ClassVar[str] = "console/receiving/scan.html"
    is_page = True
    endings: ClassVar[Sequence[tuple[str, LazyText]]] = ()
    """The buttons of the review: the value that is sent, and the text; the first is the main button."""
    empty: ClassVar[LazyText] = _("Nothing scanned yet. Scan the first product, or type its SKU and press Enter.")
    fields_first: ClassVar[bool] = True
    takes_any: ClassVar[bool] = True
    """Whether any product can be scanned, or only those of ``known_lines``."""
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "insufficient_stock": _("There is not enough that is free: what is reserved can't leave."),
        "quantity_limit": _("That would be more than one place can have."),
        "unknown_warehouse": _("There is no such warehouse any more."),
        "unknown_product": _("There is no such product any more."),
    }
    step = "scan"
    message: LazyText = ""
    is_alert = False
    is_posting = False
    latest: UUID | None = None

    def __init__(self, model_admin: Any, request: HttpRequest, object_id: str | None = None) -> None:
        super().__init__(model_admin, request, object_id)
        self.lines: list[ScannedLine] = []

    # ------------------------------------------------------------------------------------ what a subclass may define

    def known_lines(self) -> list[ScannedLine]:
        """The initial lines of the page."""
        return []

    def notes(self, lines: Sequence[ScannedLine], form: DialogForm) -> Mapping[UUID, str]:
        """Remarks about products, by id."""
        return {}

    def may_be_empty(self, form: DialogForm) -> bool:
        """Whether the form may be sent without any units."""
        return False

    # ------------------------------------------------------------------------------------------ what this class does

    def answer(self) -> HttpResponse:
        if not self.request.user.has_perm(self.permission):
            raise PermissionDenied
        if self.request.method != "POST":
            self.lines = self.known_lines()
            return super().answer()
        self.is_posting = self.request.POST.get("do", "").startswith("post")
        self.lines = self._sent_lines()
        match self.request.POST.get("do", "").partition(":"):
            case ("add", _, _):
                self._add(self.request.POST.get("code", "").strip())
            case ("remove", _, product_id):
                self.lines = [line for line in self.lines if str(line.product_id) != product_id]
            case ("review", _, _):
                self._add(self.request.POST.get("code", "").strip())
                return self._again() if self.is_alert else self._review()
            case ("post", _, _):
                return self._post()
        return self._again()

    def _again(self) -> HttpResponse:
        """The page with the values that were sent, without validation."""
        given = {name: self.request.POST.get(name) for name in self.form_class.base_fields}
        return self._page(self.make_form(initial={**given, "once": given.get("once") or uuid7()}))

    def _sent_lines(self) -> list[ScannedLine]:
        typed: dict[UUID, str] = {}
        for name, value in self.request.POST.items():
            if name.startswith(_PREFIX):
                product_id = parse_uuid(name.removeprefix(_PREFIX))
                if product_id:
                    typed[product_id] = str(value)[:_LONGEST_UNITS]
        known = {line.product_id: line for line in self.known_lines()}
        if not self.takes_any:
            return [replace(line, typed=typed.get(id_, line.typed)) for id_, line in known.items()]
        ids = list(typed)[:MOST_LINES]
        rows = Product.objects.in_bulk(ids)
        return [ScannedLine(id_, rows[id_].sku, rows[id_].name, typed[id_]) for id_ in ids if id_ in rows]

    def _add(self, code: str) -> None:
        """Add one unit of the scanned product and move its line to the top, or show why not."""
        if not code:
            return None
        found = products_by_code(code[:_LONGEST_CODE])
        if not self.takes_any:
            here = {line.product_id for line in self.lines}
            found, all_found = [product for product in found if product.pk in here], found
            if all_found and not found:
                return self._warn(_("%(code)s is not one of these lines. Put it aside."), code)
        if not found:
            return self._warn(_("No product has the code %(code)s. Everything else is kept."), code)
        if len(found) > 1:
            skus = ", ".join(product.sku for product in found)
            return self._warn(_("%(code)s is the code of several products. Type one of these: %(skus)s."), code, skus)
        return self._raise(found[0])

    def _warn(self, words: Any, code: str, skus: str = "") -> None:
        self.message, self.is_alert = str(words) % {"code": code, "skus": skus}, True

    def _raise(self, product: Product) -> None:
        index = next((i for i, line in enumerate(self.lines) if line.product_id == product.pk), None)
        if index is None and len(self.lines) >= MOST_LINES:
            return self._warn(_("These are as many lines as one paper can have. Finish them first."), product.sku)
        line = ScannedLine(product.pk, product.sku, product.name, "") if index is None else self.lines[index]
        if line.fault:
            return self._warn(_("%(code)s is not added: correct the number of its units first."), line.sku)
        line = replace(line, typed=str((line.units or 0) + 1))
        if index is None:
            self.lines.insert(0, line)
        elif self.takes_any:
            self.lines = [line, *self.lines[:index], *self.lines[index + 1 :]]
        else:
            self.lines[index] = line
        self.latest = line.product_id
        self.message = f"{line.sku} {line.name}: {line.typed}"
        return None

    def _review(self) -> HttpResponse:
        form = self._checked()
        if form.is_valid():
            self.step = "review"
            self.doubts = self.find_doubts(form.cleaned_data)
        return self._page(form)

    def _post(self) -> HttpResponse:
        form = self._checked()
        if not form.is_valid() or self._is_doubtful(form):
            return self._review()
        return super().answer()

    def amounts(self, given: Mapping[str, Any]) -> Iterable[Amount]:
        return (Amount(line.product_id, line.sku, line.units) for line in self.lines if line.units)

    def _checked(self) -> DialogForm:
        """The form with the values that were sent, and the errors of the lines.

        The final form may be a repeated one whose units exceed what is left now: only the service can decide that.
        """
        form = self.make_form(data=self.request.POST)
        form.is_valid()
        for line in self.lines:
            if line.fault:
                form.add_error(None, f"{line.sku}: {line.fault}")
            elif line.most is not None and line.rest < 0 and not self.is_posting:
                words = _("%(sku)s: %(units)s are more than the %(most)s on their way.")
                form.add_error(None, str(words) % {"sku": line.sku, "units": line.units, "most": line.most})
        if not form.errors and not any(line.units for line in self.lines) and not self.may_be_empty(form):
            form.add_error(None, _("There is nothing to send yet: scan a product first."))
        return form

    def _claim(self, form: DialogForm) -> Any:
        chosen = self.request.POST.get("do", "").partition(":")[2]
        lines = tuple((line.product_id, line.units or 0) for line in self.lines if line.units)
        form.cleaned_data |= {"lines": lines, "do": chosen}
        return super()._claim(form)

    def refuse(self, form: DialogForm, error: DomainError) -> None:
        """Show the error, with the lines that are short, by SKU."""
        super().refuse(form, error)
        sent = [line for line in self.lines if line.units]
        for fault in error.faults:
            place = fault.pointer.split("/")[2:3]
            if "available" in fault.facts and place and place[0].isdigit() and int(place[0]) < len(sent):
                words = _("%(sku)s: %(wanted)s wanted, %(free)s free.")
                line = sent[int(place[0])]
                values = {"sku": line.sku, "wanted": fault.facts["requested"], "free": fault.facts["available"]}
                form.add_error(None, str(words) % values)

    def _page(self, form: DialogForm, status: int = 200) -> HttpResponse:
        notes = self.notes(self.lines, form)
        self.lines = [replace(line, note=notes.get(line.product_id, line.note)) for line in self.lines]
        return super()._page(form, status)

    # --------------------------------------------------------------------------------------------- for the template

    @property
    def line_count(self) -> int:
        """The number of lines with units. ``flows.js`` updates it while units are typed."""
        return sum(1 for line in self.lines if line.units)

    @property
    def unit_count(self) -> int:
        """The units of all lines."""
        return sum(line.units or 0 for line in self.lines)

    @property
    def total(self) -> str:
        """The numbers of lines and units, in words."""
        units, count = self.unit_count, self.line_count
        first = ngettext("%(count)s product", "%(count)s products", count) % {"count": count}
        return f"{first}, {ngettext('%(count)s unit', '%(count)s units', units) % {'count': units}}"

    @property
    def shown(self) -> Iterable[ScannedLine]:
        """The lines to review: all known lines, including those without units, if only known products are allowed."""
        return self.lines if not self.takes_any else [line for line in self.lines if line.units]


def sent_units(given: dict[str, Any]) -> Sequence[tuple[UUID, int]]:
    """The lines given to ``perform``, as (product id, units)."""
    return cast(Sequence[tuple[UUID, int]], given["lines"])
