"""Comparison of product codes: when two codes are the same. Pure.

A stored code keeps its spelling; its key is what is compared. So `f12` finds the SKU `F12`, and a scanner that reads a
UPC-A finds the EAN-13 that is the same number (docs/explanation/rules.md, rule 34).
"""

import re
import unicodedata
from typing import Final

from audit.texts import without_refused

_GTIN: Final = re.compile(r"[0-9]{8}|[0-9]{12,14}")
_LENGTHS: Final = (8, 12, 13, 14)


def sku_key(sku: str) -> str:
    """The key of a SKU: equal for SKUs that differ in case, surrounding blanks or invisible characters alone."""
    if sku.isascii() and sku.isprintable():
        return sku.strip(" ").lower()
    return unicodedata.normalize("NFC", without_refused(sku).casefold())


def barcode_key(barcode: str) -> str:
    """The key of a barcode: a GTIN in 14 digits, any other barcode as a SKU's. Empty for no barcode."""
    return gtin(barcode) or sku_key(barcode)


def sku_keys(code: str) -> list[str]:
    """The keys of all SKUs that are the same code as this one: the key itself, and a GTIN's other lengths."""
    number = gtin(code)
    spellings = {number[-length:] for length in _LENGTHS if not number[:-length].strip("0")} if number else set()
    return sorted({sku_key(code), *spellings})


def gtin(code: str) -> str:
    """A GTIN-8, UPC-A (12 digits), EAN-13 or GTIN-14 in 14 digits; empty for any other text.

    Zeros in front don't change the check digit, so one number has one valid check digit in each of the lengths.
    """
    number = without_refused(code)
    if not _GTIN.fullmatch(number):
        return ""
    padded = number.zfill(14)
    return padded if _check_digit(padded[:-1]) == int(padded[-1]) else ""


def _check_digit(digits: str) -> int:
    """The check digit after 13 digits: weights of 3 and 1 in turn, beginning with 3."""
    return -sum(int(digit) * (1 if place % 2 else 3) for place, digit in enumerate(digits)) % 10
