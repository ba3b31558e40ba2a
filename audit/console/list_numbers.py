"""Numbers in lists: to the right, with separators, so that figures stand under one another."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from django import template
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from audit.whole_numbers import grouped

register = template.Library()

_CELL: Final = re.compile(r'<t[dh] class="([^"]*)"')
_LABEL: Final = re.compile(r'(?<=data-label=")[a-z]')
_NUMBER: Final = re.compile(r"(?<=>)([+-]?)(\d{4,})(?=<)")


def _is_number(found: Any, name: str) -> bool:
    """Whether a column has numbers: it is a field of whole numbers, or the list says so (``number_columns``)."""
    if name in getattr(found.model_admin, "number_columns", ()):
        return True
    try:
        return isinstance(found.model._meta.get_field(name), models.IntegerField)
    except FieldDoesNotExist:
        return False


def _number_columns(found: Any) -> set[str]:
    return {name for name in found.list_display if isinstance(name, str) and _is_number(found, name)}


def _grouped(match: re.Match[str]) -> str:
    return f"{match[1]}{grouped(int(match[2]))}"


@register.filter
def aligned_cells(cells: Iterable[SafeString], found: Any) -> Iterator[SafeString]:
    """The cells of a row of a list, those of number columns with the class ``console-number`` and grouped digits."""
    columns = {f"field-{name}" for name in _number_columns(found)}
    for plain in cells:
        # A name of a column begins with a capital; only a letter is changed.
        cell = mark_safe(_LABEL.sub(lambda match: match[0].upper(), plain, count=1))  # noqa: S308
        named = _CELL.match(cell)
        if named and columns & set(named[1].split()):
            grouped = _NUMBER.sub(_grouped, cell)
            # Only digits of a cell that is HTML already, and a class, are changed.
            yield mark_safe(grouped.replace('class="', 'class="console-number ', 1))  # noqa: S308
        else:
            yield cell


@register.filter
def aligned_headers(headers: Iterable[dict[str, Any]], found: Any) -> list[dict[str, Any]]:
    """The headers of a list, those of number columns with the class ``console-number``."""
    columns = {f"column-{name}" for name in _number_columns(found)}
    return [
        {**header, "class_attrib": format_html("{} console-number", header["class_attrib"])}
        if columns & set(str(header["class_attrib"]).split())
        else header
        for header in headers
    ]
