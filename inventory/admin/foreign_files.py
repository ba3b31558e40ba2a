"""How the exports of other systems name what the imports take: Shopify, WooCommerce, Odoo and ERPNext."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from audit.console.imports.columns import Format

_TOTALS: Final = _(
    "Its quantities are totals, and this import books differences: import them as RECEIPT while nothing is on hand "
    "yet, and never twice. For later corrections, open a count."
)
_NO_YES: Final = {"1": "no", "0": "yes", "true": "no", "false": "yes"}
_DECIMALS: Final = ("quantity", "reorder_point", "reorder_quantity", "most_to_keep")

PRODUCTS: Final = (
    Format(
        "Shopify",
        known_by=("Handle", "Title", "Variant SKU"),
        fields={"Variant SKU": "sku", "Title": "name", "Variant Barcode": "barcode", "Status": "active"},
        values={"active": {"active": "yes", "draft": "no", "archived": "no", "unlisted": "no"}},
        filled_down={"Title": "Handle", "Status": "Handle"},
        skipped_without="sku",
        advice=_("Rows without a SKU, such as those of more pictures, are left out."),
    ),
    Format(
        "Shopify",
        known_by=("URL handle", "Title", "SKU", "Barcode"),
        fields={"SKU": "sku", "Title": "name", "Barcode": "barcode", "Status": "active"},
        values={"active": {"active": "yes", "draft": "no", "archived": "no", "unlisted": "no"}},
        filled_down={"Title": "URL handle", "Status": "URL handle"},
        skipped_without="sku",
        advice=_("Rows without a SKU, such as those of more pictures, are left out."),
    ),
    Format(
        "WooCommerce",
        known_by=("Type", "SKU", "Name", "Published", "Visibility in catalog"),
        fields={
            "SKU": "sku",
            "Name": "name",
            "GTIN, UPC, EAN, or ISBN": "barcode",
            "Published": "active",
            "Parent": "variant_of",
        },
        values={"active": {"-1": "no"}},
        skipped_without="sku",
        advice=_("Rows without a SKU are left out."),
    ),
    Format(
        "Odoo",
        known_by=("Internal Reference", "Name"),
        fields={"Internal Reference": "sku", "Name": "name", "Barcode": "barcode", "Active": "active"},
        skipped_without="sku",
        advice=_("Rows without an internal reference are left out."),
    ),
    Format(
        "Odoo",
        known_by=("default_code", "name"),
        fields={"default_code": "sku", "name": "name", "barcode": "barcode", "active": "active"},
        skipped_without="sku",
        advice=_("Rows without an internal reference are left out."),
    ),
    Format(
        "ERPNext",
        known_by=("Item Code", "Item Name", "Item Group"),
        fields={
            "Item Code": "sku",
            "Item Name": "name",
            "Barcode (Barcodes)": "barcode",
            "Disabled": "active",
            "Variant Of": "variant_of",
        },
        values={"active": _NO_YES},
        skipped_without="sku",
    ),
)

STOCK: Final = (
    Format(
        "Shopify",
        known_by=("Handle", "SKU", "Location"),
        fields={"SKU": "sku", "Location": "warehouse", "On hand (current)": "quantity", "On hand": "quantity"},
        skipped_without="sku",
        advice=_TOTALS,
    ),
    Format(
        "WooCommerce",
        known_by=("Type", "SKU", "Name", "Stock", "In stock?"),
        fields={"SKU": "sku", "Stock": "quantity"},
        skipped_without="quantity",
        decimals=_DECIMALS,
        advice=_TOTALS,
    ),
    Format(
        "Odoo",
        known_by=("Product/Internal Reference", "Location"),
        fields={
            "Product/Internal Reference": "sku",
            "Location": "warehouse",
            "Quantity": "quantity",
            "On Hand Quantity": "quantity",
            "Inventoried Quantity": "quantity",
        },
        decimals=_DECIMALS,
        advice=_TOTALS,
    ),
    Format(
        "Odoo",
        known_by=("Internal Reference", "Quantity On Hand"),
        fields={"Internal Reference": "sku", "Quantity On Hand": "quantity"},
        skipped_without="sku",
        decimals=_DECIMALS,
        advice=_TOTALS,
    ),
    Format(
        "ERPNext",
        known_by=("Item", "Warehouse", "Balance Qty"),
        fields={"Item": "sku", "Warehouse": "warehouse", "Balance Qty": "quantity"},
        decimals=_DECIMALS,
        advice=_TOTALS,
    ),
    Format(
        "ERPNext",
        known_by=("Item Code", "Warehouse", "Actual Quantity"),
        fields={"Item Code": "sku", "Warehouse": "warehouse", "Actual Quantity": "quantity"},
        decimals=_DECIMALS,
        advice=_TOTALS,
    ),
)

SETTINGS: Final = (
    Format(
        "WooCommerce",
        known_by=("Type", "SKU", "Name", "Low stock amount"),
        fields={"SKU": "sku", "Low stock amount": "reorder_point"},
        skipped_without="sku",
        decimals=_DECIMALS,
    ),
    Format(
        "Odoo",
        known_by=("Product/Internal Reference", "Min Quantity", "Max Quantity"),
        fields={
            "Product/Internal Reference": "sku",
            "Warehouse": "warehouse",
            "Min Quantity": "reorder_point",
            "Max Quantity": "most_to_keep",
        },
        decimals=_DECIMALS,
    ),
    Format(
        "ERPNext",
        known_by=("Item Code", "Re-order Level", "Re-order Qty"),
        fields={
            "Item Code": "sku",
            "Warehouse": "warehouse",
            "Re-order Level": "reorder_point",
            "Re-order Qty": "reorder_quantity",
        },
        decimals=_DECIMALS,
    ),
)
