"""All mistakes of a body or a query, each in its place and in a whole sentence.

The decoder stops at the first mistake. What it has refused is therefore read once more, slowly, from the parsed JSON
and from what ``msgspec.inspect`` says of the type.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import inspect

from audit.api.contract import UNREADABLE, Unreadable
from audit.api.expectations import PLUS, accepts, expected, hint_for, in_bounds, shown, unknown_name
from audit.api.pointers import MOST, escaped
from audit.api.scalars import Scalar
from audit.errors import Fault, Invalid
from audit.whole_numbers import visible

DIGITS: Final = re.compile(r"-?[0-9]{1,19}")


def mistakes_in(value: Any, kind: type[msgspec.Struct], pointer: str = "", subject: str = "The body") -> list[Fault]:
    """A fault for each mistake in a parsed body, at most ``MOST``, with those between its fields.

    ``pointer`` and ``subject`` say where the value stands and what it is called, if it is a part of the body.
    """
    reader = _Reader()
    body = reader.read(value, _described(kind), pointer, subject)
    if not isinstance(body, Unreadable):
        reader.faults += body.contradictions() if hasattr(body, "contradictions") else []
    return reader.faults[:MOST]


def mistakes_in_query(parameters: Mapping[str, Sequence[str]], kind: type[msgspec.Struct], raw: str) -> list[Fault]:
    """A fault for each mistake in the parameters of a query, at most ``MOST``. ``raw`` is the query as it was sent."""
    reader = _QueryReader(raw)
    for name, values in parameters.items():
        if len(values) > 1:
            reader.add(f"?{name}", f"`{visible(name)}` is given more than once. Give it once.")
        elif "\0" in name + values[0]:
            reader.add(f"?{name}", f"`{visible(name)}` has a NUL character, which is not allowed.")
    singles = {name: values[0] for name, values in parameters.items() if len(values) == 1 and "\0" not in values[0]}
    reader.read(singles, _described(kind), "", "The query")
    return reader.faults[:MOST]


def refusal(faults: Sequence[Fault]) -> Invalid:
    """The error for these faults, whose sentence is that of the first."""
    rest = len(faults) - 1
    more = "" if not rest else " There is one more mistake." if rest == 1 else f" There are {rest} more mistakes."
    return Invalid(faults[0].detail + more, faults)


@cache
def _described(kind: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(kind)


class _Reader:
    """Reads a parsed body, and collects its mistakes in ``faults``."""

    noun = "field"

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def add(self, pointer: str, detail: str) -> Unreadable:
        """Note a mistake. Returns what stands for the value."""
        self.faults.append(Fault(pointer, Invalid.code, detail))
        return UNREADABLE

    def read(self, value: Any, kind: inspect.Type, pointer: str, subject: str) -> Any:
        """The value of a type, or UNREADABLE. Structs and lists are returned with what is unreadable in them."""
        if len(self.faults) >= MOST:
            return UNREADABLE
        if isinstance(kind, inspect.Metadata) and not isinstance(kind.type, inspect.StrType):
            return self.read(value, kind.type, pointer, subject)
        if read := _READERS.get(type(kind)):
            return read(self, value, kind, pointer, subject)
        found = self._scalar(value, kind)
        if not isinstance(found, Unreadable):
            return found
        hint = hint_for(value, kind, pointer)
        return self.add(pointer, f"{subject} must be {self.wanted(value, kind)}, but is {shown(value)}.{hint}")

    def wanted(self, value: Any, kind: inspect.Type) -> str:
        """What the value should have been."""
        return expected(kind)

    def _scalar(self, value: Any, kind: inspect.Type) -> Any:
        return value if accepts(value, kind) else UNREADABLE

    def _optional(self, value: Any, kind: inspect.UnionType, pointer: str, subject: str) -> Any:
        others = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
        if value is None and len(others) < len(kind.types):
            return None
        return self.read(value, others[0], pointer, subject)

    def _custom(self, value: Any, kind: inspect.CustomType, pointer: str, subject: str) -> Any:
        assert issubclass(kind.cls, Scalar)  # noqa: S101 - there are no others
        try:
            return kind.cls.decode(value)
        except ValueError as error:
            return self.add(pointer, f"{subject} {error}.")

    def _list(self, value: Any, kind: inspect.ListType, pointer: str, subject: str) -> Any:
        if not isinstance(value, list):
            return self.add(pointer, f"{subject} must be {expected(kind)}, but is {shown(value)}.")
        if not in_bounds(len(value), kind.min_length, kind.max_length):
            return self.add(pointer, f"{subject} must be {expected(kind)}, but has {len(value)}.")
        subject = f"An item of {subject}"
        return [self.read(each, kind.item_type, f"{pointer}/{place}", subject) for place, each in enumerate(value)]

    def _struct(self, value: Any, kind: inspect.StructType, pointer: str, subject: str) -> Any:
        if not isinstance(value, dict):
            return self.add(pointer, f"{subject} must be a JSON object, but is {shown(value)}.")
        read: dict[str, Any] = {}
        known = {field.encode_name: field for field in kind.fields}
        for name, given in value.items():
            if field := known.get(name):
                read[field.name] = self.read(given, field.type, self.pointer(pointer, name), f"`{name}`")
            elif kind.forbid_unknown_fields and len(self.faults) < MOST:
                self.add(self.pointer(pointer, name), unknown_name(name, list(known), self.noun))
        for name, field in known.items():
            if field.required and field.name not in read:
                if len(self.faults) < MOST:
                    self.add(self.pointer(pointer, name), f"`{name}` is missing: send {expected(field.type)}.")
                read[field.name] = UNREADABLE
        return kind.cls(**read)

    @staticmethod
    def pointer(above: str, name: str) -> str:
        """The pointer to a field."""
        return f"{above}/{escaped(name)}"


class _QueryReader(_Reader):
    """Reads the parameters of a query, whose values are texts."""

    noun = "parameter"

    def __init__(self, raw: str) -> None:
        super().__init__()
        pairs = (pair.partition("=") for pair in raw.split("&"))
        self._with_plus = {f"?{name}" for name, _, text in pairs if "+" in text}

    def add(self, pointer: str, detail: str) -> Unreadable:
        if pointer in self._with_plus and "%2B" not in detail:
            detail += PLUS
        return super().add(pointer, detail)

    def wanted(self, value: Any, kind: inspect.Type) -> str:
        plain = kind.type if isinstance(kind, inspect.Metadata) else kind
        is_misspelt = isinstance(plain, inspect.IntType) and not DIGITS.fullmatch(value)
        return expected(kind) + (", written in the digits 0 to 9" if is_misspelt else "")

    def _optional(self, value: Any, kind: inspect.UnionType, pointer: str, subject: str) -> Any:
        others = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
        if value.lower() == "null" and not isinstance(others[0], inspect.CustomType):
            return self.add(pointer, f"{subject} is “null”, which is no value. Leave the parameter out instead.")
        return super()._optional(value, kind, pointer, subject)

    def _scalar(self, value: Any, kind: inspect.Type) -> Any:
        if isinstance(kind, inspect.IntType):
            value = int(value) if DIGITS.fullmatch(value) else UNREADABLE
        elif isinstance(kind, inspect.FloatType | inspect.BoolType):
            wanted = float if isinstance(kind, inspect.FloatType) else bool
            try:
                value = msgspec.convert(value, wanted, strict=False)
            except msgspec.ValidationError:
                return UNREADABLE
        return super()._scalar(value, kind)

    @staticmethod
    def pointer(above: str, name: str) -> str:  # noqa: ARG004 - as that of bodies
        return f"?{name}"


_READERS: Final[dict[type[inspect.Type], Callable[[_Reader, Any, Any, str, str], Any]]] = {
    inspect.UnionType: lambda reader, *read: reader._optional(*read),
    inspect.StructType: lambda reader, *read: reader._struct(*read),
    inspect.ListType: lambda reader, *read: reader._list(*read),
    inspect.CustomType: lambda reader, *read: reader._custom(*read),
}
