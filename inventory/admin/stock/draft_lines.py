"""Lines of a draft in the console: the effects of scans and edits, and the messages about them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal, NamedTuple
from uuid import UUID

import msgspec
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.utils.translation import gettext_lazy as _
from msgspec import Meta

from audit.actors import Actor
from audit.console.scans import (
    LONGEST_CODE,
    MOST_SCANS,
    Outcome,
    Scan,
    ScanAnswer,
    ScanChoice,
    ScanLine,
    json_answer,
    json_body,
)
from audit.console.wording import wording_of
from audit.identifiers import NIL, parse_uuid
from audit.whole_numbers import grouped
from inventory.admin.stock.marks import with_warning
from inventory.errors import DraftPosted, TransferAlreadySent, TransferClosed
from inventory.models import QUANTITY_LIMIT, Product
from inventory.services.catalogue.codes import products_by_code
from inventory.services.catalogue.stock_warnings import in_words, warnings_of
from inventory.services.drafts.lines import MOST_LINES, MOST_UNITS, ChangedLines, LineCommand, LineOutcome
from inventory.services.stock.places import find_places

LINE_PREFIX: Final = "units-"
"""The names of the fields for units begin with it, followed by the product's id."""
SEEN_PREFIX: Final = "seen-"
"""The names of fields with what the page showed begin with it, followed by the product's id or a detail's name."""

Change = Callable[[Sequence[LineCommand]], ChangedLines]
Notes = Callable[[Sequence[UUID]], Mapping[UUID, str]]


@dataclass(slots=True)
class ScannedLine:
    """A product and its units. ``note`` is a remark about the product, with its ``warning``, such as that it is frozen;
    ``most`` the most units that are expected.

    ``typed`` is what was typed if it isn't a whole number.
    """

    product_id: UUID
    sku: str
    name: str
    quantity: int = 0
    note: str = ""
    most: int | None = None
    typed: str | None = None
    warning: str = ""

    @property
    def rest(self) -> int:
        """The units missing to ``most``; negative if there are too many."""
        return (self.most or 0) - self.quantity

    @property
    def value(self) -> str:
        """The text of the line's field: blank without units."""
        return self.typed if self.typed is not None else str(self.quantity or "")

    @property
    def field(self) -> str:
        """The name of the line's field."""
        return f"{LINE_PREFIX}{self.product_id}"

    @property
    def seen_field(self) -> str:
        """The name of the field with the units that the page showed."""
        return f"{SEEN_PREFIX}{self.product_id}"


_SENTENCES: Final = {
    "changed": _("%(sku)s is %(units)s now: it was changed in another tab or on another device. Type it again."),
    "not_expected": _("%(sku)s is not expected here. Put it aside."),
    "too_many_lines": _("A draft has at most %(lines)s lines. Post this one first, then scan %(sku)s again."),
    "too_many_units": _("%(sku)s: a line has at most %(most)s units. It stays at %(units)s."),
}


def sentence(outcome: LineOutcome, sku: str, name: str = "") -> str:
    """What a command did, for the person who gave it."""
    if outcome.verdict in {"done", "repeat"}:
        return f"{sku} {name}: {outcome.quantity}".replace("  ", " ")
    values = {"sku": sku, "units": outcome.quantity, "lines": MOST_LINES, "most": grouped(MOST_UNITS)}
    return str(_SENTENCES[outcome.verdict]) % values


# --- scans ------------------------------------------------------------------------------------------------------------


def take_scans(actor: Actor, scans: Sequence[Scan], change: Change, notes: Notes) -> ScanAnswer:
    """Find the product of each scan, and add to its line. Scans of no product, or of several, change nothing."""
    found: list[Product | Outcome] = [_found(actor, scan) for scan in scans]
    commands = [_command(scan, hit) for scan, hit in zip(scans, found, strict=True) if isinstance(hit, Product)]
    try:
        changed = change(commands)
    except (DraftPosted, TransferAlreadySent, TransferClosed) as error:
        words = f"{wording_of(error)} {_('The scan was not added.')}"
        return ScanAnswer(outcomes=[Outcome(id=scan.id, status="refused", message=words) for scan in scans])
    products = {hit.pk: hit for hit in found if isinstance(hit, Product)}
    remarks, done = remarks_on(list(products), notes), iter(changed.outcomes)
    outcomes = [hit if isinstance(hit, Outcome) else _outcome(next(done), hit, remarks) for hit in found]
    return ScanAnswer(outcomes=outcomes, lines=len(changed.quantities), units=sum(changed.quantities.values()))


def _found(actor: Actor, scan: Scan) -> Product | Outcome:
    """The one product of a scan, or why there is none."""
    products = products_by_code(scan.text) if scan.text else []
    if line := parse_uuid(scan.line):
        products = list(Product.objects.filter(pk=line))
    if scan.choice:
        products = [product for product in products if str(product.pk) == scan.choice]
    if len(products) == 1:
        return products[0]
    values = {"code": scan.text or scan.code[:40]}
    if not products:
        return _of_no_product(actor, scan, values)
    choices = tuple(ScanChoice(key=str(product.pk), sku=product.sku, name=product.name) for product in products)
    words = str(_("%(code)s is the code of several products. Which one is it?")) % values
    return Outcome(id=scan.id, status="ambiguous", message=words, choices=choices)


def products_to_choose(code: str) -> list[Product]:
    """The products with this code if there are several, else none."""
    asked = Scan(id=NIL, code=code[:LONGEST_CODE])
    products = products_by_code(asked.text) if asked.text else []
    return products if len(products) > 1 else []


def _of_no_product(actor: Actor, scan: Scan, values: dict[str, str]) -> Outcome:
    """The outcome for a place's label, and for a code that is unknown."""
    places = find_places(actor, scan.text) if scan.text else []
    if places and not scan.line:
        words = _(
            "%(place)s is a place, not a product. Nothing was added. Scan it on the dashboard or in a list to see "
            "what is there, to count it or to put goods away there."
        )
        return Outcome(id=scan.id, status="refused", message=str(words) % {"place": places[0].code})
    words = _("No product has the code %(code)s. Everything else is kept.")
    return Outcome(id=scan.id, status="unknown", message=str(words) % values)


def _command(scan: Scan, product: Product) -> LineCommand:
    if scan.total is not None:
        return LineCommand(scan.id, product.pk, "set", scan.total)
    return LineCommand(scan.id, product.pk, "add", scan.quantity or 1)


class Remark(NamedTuple):
    """What is shown beside a line: a note of the page, and warnings about the goods."""

    note: str
    warning: str

    def __str__(self) -> str:
        return " · ".join(part for part in self if part)


def remarks_on(product_ids: Sequence[UUID], notes: Notes) -> dict[UUID, Remark]:
    """The remarks on products, by id; one query besides those of ``notes``."""
    noted, warned = notes(product_ids), warnings_of(product_ids)
    return {id_: Remark(noted.get(id_, ""), in_words(warned.get(id_, ()))) for id_ in product_ids}


def _outcome(done: LineOutcome, product: Product, remarks: Mapping[UUID, Remark]) -> Outcome:
    remark = remarks[product.pk]
    shown = ScanLine(
        key=str(product.pk),
        sku=product.sku,
        name=product.name,
        quantity=done.quantity,
        text=str(remark),
        warning=remark.warning,
    )
    words = with_warning(sentence(done, product.sku, product.name), remark.warning)
    if done.verdict in {"done", "repeat"}:
        return Outcome(
            id=done.command.id, status="repeat" if done.verdict == "repeat" else "added", message=words, line=shown
        )
    return Outcome(id=done.command.id, status="refused", message=words, line=shown if done.quantity else None)


# --- edited lines -----------------------------------------------------------------------------------------------------


class _LineChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line that was edited or removed. ``key`` is the product's id, ``seen`` the units that the page showed."""

    id: UUID
    key: UUID
    do: Literal["set", "remove"]
    quantity: Annotated[int, Meta(ge=0, le=QUANTITY_LIMIT)] = 0
    seen: Annotated[int, Meta(ge=0, le=QUANTITY_LIMIT)] | None = None


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    changes: Annotated[tuple[_LineChange, ...], Meta(min_length=1, max_length=MOST_SCANS)]


_decoder: Final = msgspec.json.Decoder(_Body)


def answer_changes(request: HttpRequest, change: Change, notes: Notes) -> HttpResponse:
    """The answer to edited lines, in the shape of that to scans: 405 for another method than POST, 400 with the reason
    for a body of the wrong shape, 409 with the reason if the draft can't be changed any more."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        asked = _decoder.decode(json_body(request)).changes
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return json_answer({"message": str(error)}, status=400)
    products = Product.objects.in_bulk([one.key for one in asked])
    if missing := [one for one in asked if one.key not in products]:
        return json_answer({"message": f"There is no product {missing[0].key}."}, status=400)
    try:
        changed = change([LineCommand(one.id, one.key, one.do, one.quantity, one.seen) for one in asked])
    except (DraftPosted, TransferAlreadySent, TransferClosed) as error:
        return json_answer({"message": wording_of(error)}, status=409)
    remarks = remarks_on(list(products), notes)
    outcomes = [_outcome(done, products[done.command.product_id], remarks) for done in changed.outcomes]
    lines, units = len(changed.quantities), sum(changed.quantities.values())
    return json_answer(ScanAnswer(outcomes=outcomes, lines=lines, units=units))
