"""Export and import of products and variants as files."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from import_export.fields import Field
from uuid_utils.compat import uuid7

from audit.console.base import actor_for
from audit.console.exports import ExportRow, by_keys
from audit.console.imports.cells import (
    Cells,
    ReadRow,
    TextCell,
    TimeCell,
    UnitsCell,
    YesNoCell,
)
from audit.console.imports.columns import Column
from audit.console.imports.importers import PlannedRow, Reading, RowImporter, Upload
from audit.console.imports.rows import RowFault
from audit.db.statements import Progress
from audit.errors import DomainError
from audit.idempotency import Claim, StoredAnswer
from audit.whole_numbers import grouped
from inventory.admin import foreign_files
from inventory.admin.catalogue.sku_cells import notes_on_sharing, with_stored_skus
from inventory.models import Product
from inventory.services.catalogue.master_data import (
    ProductChange,
    ProductFields,
    SavedProducts,
    family_faults,
    fields_of,
    put_products,
)

COLUMNS: Final = (
    Column(
        "sku",
        _("SKU"),
        _("Identifies the product. An unknown SKU creates a new product."),
        is_needed=True,
        is_code=True,
        is_key=True,
    ),
    Column("name", _("Name"), _("A new product needs one.")),
    Column(
        "variant_of",
        _("Variant of"),
        _("The SKU of the parent product, which may be in the same file. Optional."),
        is_code=True,
    ),
    Column(
        "barcode",
        _("Barcode"),
        _("Format the column as text: numbers lose their leading zeros."),
        is_code=True,
    ),
    Column("active", _("Active"), _("yes or no; a new product is active if the column is left out.")),
    Column("listed_until", _("Listed until"), _("For example 2030-12-31 18:00. Leave empty for no end.")),
    Column("most_units_a_customer", _("Max per customer"), _("Reserved at a time. Empty: no limit.")),
)


@dataclass(slots=True)
class ProductRow:
    """A product's values by column. Times are truncated to seconds, as in files."""

    sku: str = ""
    name: str = ""
    variant_of: str = ""
    barcode: str = ""
    active: bool = True
    listed_until: datetime | None = None
    most_units_a_customer: int | None = None


def _row_of(product: Product) -> ProductRow:
    until = product.listing_expires_at
    return ProductRow(
        sku=product.sku,
        name=product.name,
        variant_of=product.parent.sku if product.parent else "",
        barcode=product.barcode,
        active=product.is_active,
        listed_until=until and until.replace(microsecond=0),
        most_units_a_customer=product.max_units_per_customer,
    )


class ProductCells(Cells):
    """The columns of a file of products."""

    key = ("sku",)
    sku = Field("sku", widget=TextCell(64, is_needed=True))
    name = Field("name", widget=TextCell(200, is_needed=True))
    variant_of = Field("variant_of", widget=TextCell(64))
    barcode = Field("barcode", widget=TextCell(64))
    active = Field("active", widget=YesNoCell())
    listed_until = Field("listed_until", widget=TimeCell())
    most_units_a_customer = Field("most_units_a_customer", widget=UnitsCell(least=1))

    def init_instance(self, row: Any = None) -> ProductRow:
        return ProductRow()


class ProductImport(RowImporter[ProductChange, SavedProducts]):
    """Import of new and existing products."""

    title = _("Import products")
    intro = _(
        "Download the list with “Export”, change it, and choose it here. A column that is left out stays as it is; an "
        "empty cell empties the field. A preview shows the changes first."
    )
    permission = "inventory.change_product"
    file_name = "products"
    columns = COLUMNS
    formats = foreign_files.PRODUCTS
    plan_type = list[PlannedRow[ProductChange]]

    @classmethod
    def allows(cls, user: Any) -> bool:
        """As on a product's page, only users of all warehouses may change products."""
        may_add = user.has_perm("inventory.add_product")
        return super().allows(user) and may_add and actor_for(user, "").sees_all_warehouses

    def read(self, upload: Upload) -> Reading[list[PlannedRow[ProductChange]]]:
        table, known = with_stored_skus(upload.table, ("sku", "variant_of"))
        rows, faults = ProductCells({(sku,): _row_of(row) for sku, row in known.items()}).read(table)
        if "name" not in table.header:
            missing = gettext("is missing: a new product needs it")
            faults += [RowFault(row.number, "name", missing) for row in rows if row.before is None]
        changed = [row for row in rows if row.changes]
        ids = {sku: product.pk for sku, product in known.items()}
        ids |= {row.key[0]: uuid7() for row in changed if row.before is None}
        faults += _unknown_parents(changed, ids)
        changes = [(row, _change(row, known.get(row.key[0]), ids)) for row in changed]
        reading = self.reading_of(rows, changes, [*faults, *_family_faults(changes)])
        codes = {change.id: (change.fields.sku, change.fields.barcode) for _row, change in changes}
        return replace(reading, notes=notes_on_sharing(codes))

    def carry_out(
        self, plan: list[PlannedRow[ProductChange]], claim: Claim, again: Container[int], progress: Progress
    ) -> SavedProducts | StoredAnswer:
        return put_products(self.actor, [planned.change for planned in plan], claim=claim, progress=progress)

    def tell(self, result: SavedProducts) -> str:
        new = ngettext("%(count)s product added", "%(count)s products added", result.created)
        changed = ngettext("%(count)s product changed", "%(count)s products changed", result.changed)
        parts = [
            text % {"count": grouped(count)}
            for text, count in ((new, result.created), (changed, result.changed))
            if count
        ]
        return f"{', '.join(parts)}."


def _unknown_parents(rows: Sequence[ReadRow], ids: Mapping[str, UUID]) -> Iterator[RowFault]:
    for row in rows:
        if (parent := row.after.variant_of) and parent not in ids:
            message = gettext("there is no product %(sku)s, nor in this file")
            yield RowFault(row.number, "variant_of", message % {"sku": parent})


def _change(row: ReadRow, product: Product | None, ids: Mapping[str, UUID]) -> ProductChange:
    after: ProductRow = row.after
    until = after.listed_until
    if product and row.before and row.before.listed_until == until:
        until = product.listing_expires_at  # Unchanged, with its microseconds.
    fields = ProductFields(
        sku=after.sku,
        name=after.name,
        parent_id=ids.get(after.variant_of),
        barcode=after.barcode,
        is_active=after.active,
        listing_expires_at=until,
        max_units_per_customer=after.most_units_a_customer,
    )
    return ProductChange(ids[after.sku], fields, fields_of(product) if product else None)


def _family_faults(changes: Sequence[tuple[ReadRow, ProductChange]]) -> Iterator[RowFault]:
    """The faults of parents that the service would find."""
    faults = family_faults({change.id: change.fields.parent_id for _row, change in changes})
    for row, change in changes:
        error: DomainError | None = faults.get(change.id)
        if error:
            yield RowFault(row.number, "variant_of", ProductImport.wording_of(error))


def exported_products(products: QuerySet[Product]) -> Iterable[ExportRow]:
    """The rows of an export of products, in the columns of ``ProductImport``."""
    columns = ("sku", "name", "parent__sku", "barcode", "is_active", "listing_expires_at", "max_units_per_customer")
    for sku, name, parent, barcode, is_active, listed_until, most in by_keys(products, columns, "sku"):
        yield sku, name, parent, barcode, "yes" if is_active else "no", listed_until, most
