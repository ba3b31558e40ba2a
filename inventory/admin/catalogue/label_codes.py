"""QR codes and Code 128 barcodes as SVG. Pure functions."""

import re
from itertools import groupby
from typing import Final

import segno
from barcode import Code128

_ENCODABLE: Final = re.compile(r"[\x20-\x7e]{1,48}")
_QUIET: Final = 10
"""The number of blank modules on either side, which a scanner needs to find the bars."""


def qr_code(text: str) -> str:
    """A QR code as a scalable ``<svg>``. It stays readable with a sixth of it damaged."""
    drawn: str = segno.make(text, error="m", micro=False).svg_inline(border=2, omitsize=True, lineclass=None)
    return drawn.replace("<svg", '<svg aria-hidden="true"', 1)


def code_128(text: str) -> str:
    """A Code 128 as a scalable ``<svg>``; empty if the text can't be encoded, or is too long to be scanned."""
    if not _ENCODABLE.fullmatch(text):
        return ""
    modules: str = Code128(text).build()[0]
    bars, at = [], _QUIET
    for is_bar, run in groupby(modules):
        width = len(list(run))
        if is_bar == "1":
            bars.append(f"M{at} 0h{width}v1h-{width}z")
        at += width
    return (
        f'<svg aria-hidden="true" viewBox="0 0 {at + _QUIET} 1" preserveAspectRatio="none" '
        f'shape-rendering="crispEdges"><path d="{"".join(bars)}"/></svg>'
    )
