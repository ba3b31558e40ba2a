"""SQL conditions for what may be sold now, shared by all statements (docs/explanation/rules.md, rule 1).

Statements must name the tables ``product``, ``parent`` (the product's parent, outer joined), ``warehouse`` and
``store``. "Now" is the start of the statement: a freeze ends by itself at ``frozen_until``, and so does a listing.
"""

from typing import Final


def frozen(table: str) -> str:
    """The condition that a row of this table is frozen; false for a missing row of an outer join."""
    return f"({table}.frozen_at IS NOT NULL AND coalesce({table}.frozen_until > statement_timestamp(), true))"


def freeze_of(*tables: str) -> str:
    """Two columns: reason and end of the freeze of the first of these tables that is frozen; null if none is."""
    reasons = " ".join(f"WHEN {frozen(table)} THEN {table}.freeze_reason" for table in tables)
    ends = " ".join(f"WHEN {frozen(table)} THEN {table}.frozen_until" for table in tables)
    return f"CASE {reasons} END, CASE {ends} END"


PRODUCT_IS_ACTIVE: Final = "(product.is_active AND coalesce(parent.is_active, true))"
PRODUCT_IS_LISTED: Final = (
    "(coalesce(product.listing_expires_at > statement_timestamp(), true)"
    " AND coalesce(parent.listing_expires_at > statement_timestamp(), true))"
)
PRODUCT_MAY_BE_SOLD: Final = (
    f"({PRODUCT_IS_ACTIVE} AND {PRODUCT_IS_LISTED} AND NOT {frozen('product')} AND NOT {frozen('parent')})"
)
WAREHOUSE_MAY_SELL: Final = f"(warehouse.is_active AND NOT {frozen('warehouse')})"
STORE_MAY_SELL: Final = f"(NOT {frozen('store')})"
