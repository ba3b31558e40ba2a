"""Export and import of the settings of stock levels as files."""

from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from import_export.fields import Field

from audit.console.exports import ExportRow, by_keys
from audit.console.imports.cells import Cells, ReadRow, TextCell, UnitsCell
from audit.console.imports.columns import Column
from audit.console.imports.importers import PlannedRow, Reading, RowImporter, Upload
from audit.console.imports.rows import RowFault
from audit.db.statements import Progress
from audit.idempotency import Claim, StoredAnswer
from audit.whole_numbers import grouped
from inventory.admin import foreign_files
from inventory.admin.catalogue.sku_cells import with_stored_skus
from inventory.models import StockLevel, Warehouse
from inventory.services.stock.level_settings import LevelChange, SetLevels, set_levels

_FIELDS: Final = {
    "reorder_point": "reorder_point",
    "reorder_quantity": "reorder_quantity",
    "safety_stock": "min_stock_level",
    "most_to_keep": "max_stock_level",
    "zone": "zone",
    "aisle": "aisle",
    "shelf": "shelf",
}
"""The fields of the model by column."""

COLUMNS: Final = (
    Column("sku", _("SKU"), _("The product, or the variant."), is_needed=True, is_code=True, is_key=True),
    Column("product", _("Product"), _("Its name, for information only. Not imported."), is_read=False),
    Column(
        "warehouse",
        _("Warehouse"),
        _("Its code. The product must be in stock there, or have been."),
        is_needed=True,
        is_code=True,
    ),
    Column("reorder_point", _("Reorder point"), _("Units at which it is low on stock. Empty: none.")),
    Column("reorder_quantity", _("Reorder quantity"), _("Units to order then. Empty: none.")),
    Column("safety_stock", _("Safety stock"), _("Units that are not sold to shoppers. Empty: 0.")),
    Column("most_to_keep", _("Maximum stock"), _("Units of a full level. Empty: none."), also=("Most to keep",)),
    Column("zone", _("Zone"), _("At most 10 characters, as aisle and shelf."), is_code=True),
    Column("aisle", _("Aisle"), is_code=True),
    Column("shelf", _("Shelf"), is_code=True),
)


@dataclass(slots=True)
class LevelRow:
    """The settings of a level, by column."""

    reorder_point: int | None = None
    reorder_quantity: int | None = None
    safety_stock: int = 0
    most_to_keep: int | None = None
    zone: str = ""
    aisle: str = ""
    shelf: str = ""


@dataclass(frozen=True, slots=True)
class PlannedLevel:
    """New settings of one level, as ``LevelChange`` has them: what is kept between preview and import."""

    product_id: UUID
    warehouse: str
    changes: dict[str, Any]
    seen: dict[str, Any]


def _row_of(level: StockLevel) -> LevelRow:
    return LevelRow(**{column: getattr(level, name) for column, name in _FIELDS.items()})


class LevelCells(Cells):
    """The columns of a file of settings."""

    key = ("sku", "warehouse")
    reorder_point = Field("reorder_point", widget=UnitsCell())
    reorder_quantity = Field("reorder_quantity", widget=UnitsCell(least=1))
    safety_stock = Field("safety_stock", widget=UnitsCell(empty=0))
    most_to_keep = Field("most_to_keep", widget=UnitsCell(least=1))
    zone = Field("zone", widget=TextCell(10))
    aisle = Field("aisle", widget=TextCell(10))
    shelf = Field("shelf", widget=TextCell(10))

    def init_instance(self, row: Any = None) -> LevelRow:
        return LevelRow()


class LevelImport(RowImporter[PlannedLevel, SetLevels]):
    """Import of the settings of existing levels."""

    title = _("Import settings")
    intro = _(
        "Download the list with “Export settings”, change it, and choose it here. A column that is left out stays as "
        "it is; an empty cell empties the setting. A preview shows the changes first."
    )
    permission = "inventory.change_stocklevel"
    file_name = "level-settings"
    columns = COLUMNS
    formats = foreign_files.SETTINGS
    plan_type = list[PlannedRow[PlannedLevel]]

    def read(self, upload: Upload) -> Reading[list[PlannedRow[PlannedLevel]]]:
        table, products = with_stored_skus(upload.table, ("sku",))
        codes = {row.cells[table.header.index("warehouse")] for row in table.rows}
        found = StockLevel.objects.visible_to(self.actor).filter(
            product__in=products.values(), warehouse__code__in=codes
        )
        levels = {
            (level.product.sku, level.warehouse.code): level for level in found.select_related("product", "warehouse")
        }
        cells = LevelCells({key: _row_of(level) for key, level in levels.items()})
        rows, faults = cells.read(table)
        faults += self._unknown([row for row in rows if row.key not in levels], products)
        changed = [row for row in rows if row.changes and row.key in levels]
        faults += [fault for row in changed if (fault := _order_fault(row, levels[row.key[0], row.key[1]]))]
        return self.reading_of(rows, [(row, _change(row, levels[row.key[0], row.key[1]])) for row in changed], faults)

    def _unknown(self, rows: Sequence[ReadRow], skus: Collection[str]) -> Iterator[RowFault]:
        """The faults of rows without an existing level. ``skus`` are those of the products that there are."""
        if not rows:
            return
        seen = Warehouse.objects.visible_to(self.actor)
        codes = set(seen.filter(code__in={row.key[1] for row in rows}).values_list("code", flat=True))
        for row in rows:
            sku, code = row.key
            if sku not in skus:
                yield RowFault(row.number, "sku", gettext("there is no product %(sku)s") % {"sku": sku})
            if code not in codes:
                yield RowFault(row.number, "warehouse", gettext("there is no warehouse %(code)s") % {"code": code})
            if sku in skus and code in codes:
                message = gettext("%(sku)s was never in %(code)s: receive it there first")
                yield RowFault(row.number, "", message % {"sku": sku, "code": code})

    def carry_out(
        self, plan: list[PlannedRow[PlannedLevel]], claim: Claim, again: Container[int], progress: Progress
    ) -> SetLevels | StoredAnswer:
        rows = (planned.change for planned in plan)
        changes = [LevelChange(row.product_id, row.warehouse, row.changes, row.seen) for row in rows]
        return set_levels(self.actor, changes, claim=claim, progress=progress)

    def tell(self, result: SetLevels) -> str:
        message = ngettext(
            "Settings of %(count)s level changed.", "Settings of %(count)s levels changed.", len(result.ids)
        )
        return message % {"count": grouped(len(result.ids))}


def _order_fault(row: ReadRow, level: StockLevel) -> RowFault | None:
    """The fault of a row whose reorder point is above the maximum, whichever of both the file changes."""
    after = {_FIELDS[column]: new for column, _old, new in row.changes}
    point = after.get("reorder_point", level.reorder_point)
    most = after.get("max_stock_level", level.max_stock_level)
    if point is None or most is None or point <= most:
        return None
    words = gettext("the reorder point %(point)s is above the maximum stock %(most)s")
    return RowFault(row.number, "reorder_point", words % {"point": point, "most": most})


def _change(row: ReadRow, level: StockLevel) -> PlannedLevel:
    return PlannedLevel(
        level.product_id,
        level.warehouse.code,
        changes={_FIELDS[column]: new for column, _old, new in row.changes},
        seen={_FIELDS[column]: old for column, old, _new in row.changes},
    )


def exported_levels(levels: QuerySet[StockLevel]) -> Iterable[ExportRow]:
    """The rows of an export of settings, in the columns of ``LevelImport``."""
    columns = ("product__sku", "product__name", "warehouse__code", *_FIELDS.values())
    return by_keys(levels, columns, "product__sku", "warehouse__code")
