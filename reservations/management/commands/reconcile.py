"""Compare counters with the rows that explain them, and repair them with ``--repair``."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.actors import Actor
from audit.errors import Busy
from audit.identifiers import parse_uuid
from inventory.management.arguments import LONGEST_ACTOR, line_argument
from inventory.management.progress import progress_bar
from inventory.models import CODE, Product, ReconciliationFinding, Warehouse
from inventory.services.bookkeeping.reconciliation import EVERYTHING, ReconciliationScope, Repair, Run, count_levels
from inventory.services.catalogue.codes import products_by_code
from reservations.services.bookkeeping.reconciliation import reconcile

FINDINGS: Final = 1
USAGE: Final = 2
UNFINISHED: Final = 3
_REASON_LIMIT: Final = 500
_HEADINGS: Final = ("KIND", "SKU", "WAREHOUSE", "EXPECTED", "ACTUAL", "REPAIRED", "DETAIL")


class Command(BaseCommand):
    """Prints a table of findings. The exit status shows whether there are unrepaired ones."""

    help = (
        "Compare on hand with the ledger, reserved with active holds, transfers with their movements, and look for "
        "holds long past their end and rows without an owner. Exit status: 0 nothing is wrong (any more), 1 something "
        "is, 2 wrong usage, 3 not finished."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--repair", action="store_true", help="put right what can be; needs --reason")
        parser.add_argument("--reason", default="", help="why it is repaired, for the audit trail")
        parser.add_argument("--warehouse", metavar="CODE", help="look at the levels of this warehouse alone")
        parser.add_argument("--product", metavar="CODE|UUID", help="look at this product and its variants alone")
        parser.add_argument("--actor", default="reconcile", help="who runs this, for the audit trail")

    def handle(self, *args: Any, **options: Any) -> None:
        repair = _repair(options["repair"], options["reason"].strip())
        scope = _scope(options["warehouse"], options["product"])
        name = line_argument("--actor", options["actor"], LONGEST_ACTOR, returncode=USAGE)
        actor = Actor(name=name, client_id=None, request_id="", source="command")
        with progress_bar(self.stderr, "levels", count_levels(scope)) as progress:
            try:
                run = reconcile(actor, scope, repair=repair, progress=progress)
            except Busy as busy:
                raise CommandError(f"Not finished: {busy.detail}", returncode=UNFINISHED) from busy
        self._print(run)
        if run.unrepaired:
            sys.exit(FINDINGS)

    def _print(self, run: Run) -> None:
        found = list(
            ReconciliationFinding.objects.filter(run_id=run.id)
            .select_related("level__product", "level__warehouse")
            .order_by("kind", "pk")
        )
        if found:
            _print_table(self.stdout.write, [_HEADINGS, *(_row(finding) for finding in found)])
        if run.finding_count > len(found):
            self.stdout.write(f"… and {run.finding_count - len(found):,} more.")
        repaired = run.finding_count - run.unrepaired
        repairs = f", {repaired:,} repaired" if repaired else ""
        self.stdout.write(
            f"{run.levels_checked:,} levels checked ({run.scope.words}), {run.finding_count:,} findings{repairs}."
        )


def _repair(is_wanted: bool, reason: str) -> Repair | None:
    if is_wanted and not reason:
        raise CommandError("--repair needs --reason: say why, for the audit trail.", returncode=USAGE)
    if reason and not is_wanted:
        raise CommandError("--reason goes with --repair.", returncode=USAGE)
    reason = line_argument("--reason", reason, _REASON_LIMIT, least=0, returncode=USAGE)
    return Repair(reason) if is_wanted else None


def _scope(code: str | None, product: str | None) -> ReconciliationScope:
    warehouse_id = product_id = None
    words = []
    if code is not None:
        known = Warehouse.objects.filter(code=code) if CODE.fullmatch(code) else Warehouse.objects.none()
        warehouse_id = known.values_list("pk", flat=True).first()
        if warehouse_id is None:
            raise CommandError(f"There is no warehouse {code}.", returncode=USAGE)
        words.append(f"warehouse {code}")
    if product is not None:
        found = _named(product)
        product_id = found.pk
        words.append(f"product {found.sku}")
    return ReconciliationScope(warehouse_id, product_id, ", ".join(words) or EVERYTHING)


def _named(product: str) -> Product:
    """The product with this id or code. Raises CommandError if there is none, or if several have the code."""
    product_id = parse_uuid(product)
    found = list(Product.objects.filter(pk=product_id)) if product_id else []
    found = found or products_by_code(product)
    if not found:
        raise CommandError(f"There is no product {product}.", returncode=USAGE)
    if len(found) > 1:
        several = ", ".join(f"{each.sku} ({each.pk})" for each in found)
        raise CommandError(f"{product} is a code of several products: {several}. Give the id.", returncode=USAGE)
    return found[0]


def _row(finding: ReconciliationFinding) -> tuple[str, ...]:
    level = finding.level
    return (
        finding.kind,
        level.product.sku if level else "",
        level.warehouse.code if level else "",
        "" if finding.expected is None else str(finding.expected),
        "" if finding.actual is None else str(finding.actual),
        "yes" if finding.repaired_at else "no",
        finding.detail,
    )


def _print_table(write: Callable[[str], Any], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
