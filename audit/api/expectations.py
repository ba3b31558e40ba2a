"""What a field takes, in words: the parts of the sentences about mistakes (``audit.api.mistakes``)."""

import difflib
import re
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import msgspec
from msgspec import inspect

from audit.api.scalars import Scalar
from audit.texts import listed
from audit.whole_numbers import visible

EXAMPLE: Final = "01920000-0000-7000-8000-000000000001"
PLUS: Final = " A + in a query means a blank: write %2B instead."
_ID: Final = re.compile(r"\^\(?((?:[a-z]+\|?)+)\)?-\[0-9a-f")
_WORDS: Final = {
    "[A-Za-z0-9][A-Za-z0-9._-]*": "a code{} letters, digits, dots, dashes and underscores, such as `wh-001`",
    "[!-~]+": "a URL such as `https://example.com/webhooks`, without blanks",
    "[A-Za-z]+": "the name of a type of events, such as `InventoryReservedEvent`",
}
"""What texts are, by how their patterns begin. ``{}`` is their length."""
_LARGEST: Final = 2**63 - 1
_FAR: Final = 10**40
"""Numbers from here on are not written in messages; some are infinite once they are read."""
_BLANKS: Final = re.compile(r"[\s_-]")
_LIKENESS: Final = 0.5
_LONGEST_COMPARED: Final = 64
_OF_PRODUCTS: Final = ("productId", "variantId", "parentId", "product_id")


def accepts(value: Any, kind: inspect.Type) -> bool:
    """Whether the decoder takes a JSON value for a type that is neither a struct, a list, a union nor a ``Scalar``."""
    if isinstance(kind, inspect.Metadata):
        return accepts(value, kind.type)
    check = _CHECKS.get(type(kind))
    return check is None or check(value, kind)


def _is_literal(value: Any, kind: inspect.LiteralType) -> bool:
    return any(type(value) is type(each) and value == each for each in kind.values)


def _is_text(value: Any, kind: inspect.StrType) -> bool:
    fits = isinstance(value, str) and in_bounds(len(value), kind.min_length, kind.max_length)
    return fits and (kind.pattern is None or re.search(kind.pattern, value) is not None)


def _is_uuid(text: str) -> bool:
    try:
        msgspec.convert(text, UUID)
    except msgspec.ValidationError:
        return False
    return True


def _within(value: float, kind: inspect.IntType | inspect.FloatType) -> bool:
    return (
        (kind.ge is None or value >= kind.ge)
        and (kind.gt is None or value > kind.gt)
        and (kind.le is None or value <= kind.le)
        and (kind.lt is None or value < kind.lt)
    )


_CHECKS: Final[dict[type[inspect.Type], Callable[[Any, Any], bool]]] = {
    inspect.BoolType: lambda value, _: isinstance(value, bool),
    inspect.IntType: lambda value, kind: type(value) is int and _within(value, kind),
    inspect.FloatType: lambda value, kind: type(value) in (int, float) and _within(value, kind),
    inspect.LiteralType: _is_literal,
    inspect.StrType: _is_text,
    inspect.DictType: lambda value, _: isinstance(value, dict),
    inspect.UUIDType: lambda value, _: isinstance(value, str) and _is_uuid(value),
}


def in_bounds(size: int, least: int | None, most: int | None) -> bool:
    """Whether a length lies within its bounds."""
    return (least or 0) <= size and (most is None or size <= most)


def expected(kind: inspect.Type) -> str:
    """What a type takes: ``a whole number from 1 to 200``."""
    if isinstance(kind, inspect.Metadata):
        return expected(kind.type)
    if isinstance(kind, inspect.UnionType):
        return next(expected(each) for each in kind.types if not isinstance(each, inspect.NoneType))
    words = _WORDS_OF.get(type(kind))
    return words(kind) if words else "a JSON value"


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.gt is not None and kind.le is not None:
        return f" above {kind.gt:,g} and at most {kind.le:,g}"
    if kind.ge is None:
        return "" if kind.le is None else f" of at most {kind.le:,}"
    return (
        f" of {kind.ge:,} or more" if kind.le is None or kind.le >= 2**63 - 1 else f" from {kind.ge:,} to {kind.le:,}"
    )


def _text(kind: inspect.StrType) -> str:
    if kind.pattern and (found := _ID.match(kind.pattern)):
        return f"an id such as {' or '.join(f'`{prefix}-{EXAMPLE}`' for prefix in found[1].split('|'))}"
    size = sized(kind.min_length, kind.max_length, "character")
    for begin, words in _WORDS.items():
        if kind.pattern and kind.pattern.lstrip("^").startswith(begin):
            return words.format(size.removesuffix(" characters"))
    return f"a text{size}"


def sized(least: int | None, most: int | None, noun: str) -> str:
    """The bounds of a length: `` of 1 to 64 characters``; empty if there are none."""
    if most is None:
        return f" of at least {least} {_counted(least, noun)}" if least else ""
    return f" of {least} to {most} {noun}s" if least else f" of at most {most} {_counted(most, noun)}"


def _counted(number: int, noun: str) -> str:
    return noun if number == 1 else f"{noun}s"


def _one_of(values: Sequence[Any]) -> str:
    names = [f"`{msgspec.json.encode(value).decode().strip(chr(34))}`" for value in values]
    return names[0] if len(names) == 1 else f"one of {listed(names)}"


_WORDS_OF: Final[dict[type[inspect.Type], Callable[[Any], str]]] = {
    inspect.BoolType: lambda _: "true or false",
    inspect.CustomType: lambda kind: kind.cls.expected() if issubclass(kind.cls, Scalar) else "a JSON value",
    inspect.DictType: lambda _: "a JSON object",
    inspect.FloatType: lambda kind: f"a number{_range(kind)}",
    inspect.IntType: lambda kind: f"a whole number{_range(kind)}",
    inspect.ListType: lambda kind: f"a list{sized(kind.min_length, kind.max_length, 'item')}",
    inspect.LiteralType: lambda kind: _one_of(kind.values),
    inspect.StrType: _text,
    inspect.StructType: lambda _: "a JSON object",
    inspect.UUIDType: lambda _: f"a UUID such as `{EXAMPLE}`",
}


def shown(value: Any) -> str:
    """A JSON value as a message shows it, cut if it is long."""
    if isinstance(value, str):
        return f"“{visible(value)}”" if value else "an empty text"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a JSON object"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"the number {visible(str(value))}" if abs(value) < _FAR else "a number that is far out of range"
    return msgspec.json.encode(value).decode()


def hint_for(value: Any, kind: inspect.Type, pointer: str) -> str:
    """Another sentence that helps where the value is often mistaken; empty if there is none."""
    if isinstance(kind, inspect.UUIDType) and isinstance(value, str) and pointer.endswith(_OF_PRODUCTS):
        return f" {by_sku(value)}"
    return ""


def by_sku(text: str) -> str:
    """How to find the id of a product by its SKU."""
    where = f"?sku={quote(text, safe='')}" if 0 < len(text) <= _LONGEST_COMPARED else "?sku="
    return f"To find a product by its SKU, send GET /api/v1/products{where}."


def unknown_name(name: str, known: Sequence[str], noun: str) -> str:
    """The sentence about an unknown field or parameter, with the nearest known one, or else all of them."""
    there_is_none = f"There is no {noun} `{visible(name)}` here"
    if near := nearest(name, known):
        return f"{there_is_none}. Did you mean `{near}`?"
    if not known:
        return f"{there_is_none}: this request takes none."
    quoted = [f"`{name}`" for name in known]
    return f"{there_is_none}. There {'is' if len(known) == 1 else 'are'} {listed(quoted)}."


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The known name that is most like another one, but for case, dashes and underscores; None if none is."""
    folded = {_folded(each): each for each in known}
    found = difflib.get_close_matches(_folded(name[:_LONGEST_COMPARED]), folded, 1, _LIKENESS)
    return folded[found[0]] if found else None


def _folded(name: str) -> str:
    return _BLANKS.sub("", name).lower()
