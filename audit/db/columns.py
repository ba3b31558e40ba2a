"""Columns of values as PostgreSQL arrays in its binary form, for statements that write or look up a whole batch.

psycopg's own lists choose a type for each element and quote texts one by one, which took a third of a hold's time in
Python (docs/explanation/performance.md). These arrays are six to sixty times faster, and their type never depends on
the values, so that a statement is prepared only once.
"""

import sys
from array import array
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from struct import Struct
from typing import ClassVar, Final, cast
from uuid import UUID

import psycopg
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

_HEADER: Final = Struct("!iiIii")
_LENGTH: Final = Struct("!i").pack
_INT: Final = Struct("!ii").pack
_TIME: Final = Struct("!iq").pack
_NULL: Final = b"\xff\xff\xff\xff"
_UUID_LENGTH: Final = b"\x00\x00\x00\x10"
_BOOLS: Final = {False: b"\x00\x00\x00\x01\x00", True: b"\x00\x00\x00\x01\x01"}
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


class _Array(bytes):
    """An array in binary form. ``element_oid`` and ``array_oid`` are PostgreSQL's numbers of its types."""

    element_oid: ClassVar[int]
    array_oid: ClassVar[int]


class UuidArray(_Array):
    """A ``uuid[]``."""

    element_oid, array_oid = 2950, 2951


class TextArray(_Array):
    """A ``text[]``."""

    element_oid, array_oid = 25, 1009


class IntArray(_Array):
    """An ``integer[]``."""

    element_oid, array_oid = 23, 1007


class BoolArray(_Array):
    """A ``boolean[]``."""

    element_oid, array_oid = 16, 1000


class TimeArray(_Array):
    """A ``timestamptz[]``."""

    element_oid, array_oid = 1184, 1185


class BytesArray(_Array):
    """A ``bytea[]``."""

    element_oid, array_oid = 17, 1001


def _array(kind: type[_Array], elements: list[bytes]) -> bytes:
    return _counted(kind, len(elements), b"".join(elements))


def _counted(kind: type[_Array], count: int, elements: bytes) -> bytes:
    if not count:
        return _LENGTH(0) + _LENGTH(0) + _LENGTH(kind.element_oid)
    return _HEADER.pack(1, 1, kind.element_oid, count, 1) + elements


def uuids(values: Iterable[UUID | None]) -> UuidArray:
    """A column of UUIDs."""
    given = [None if v is None else v.int.to_bytes(16) for v in values]
    if None in given:
        return UuidArray(_array(UuidArray, [_NULL if v is None else _UUID_LENGTH + v for v in given]))
    return raw_uuids(cast(list[bytes], given))


def raw_uuids(values: list[bytes]) -> UuidArray:
    """A column of UUIDs, each as its 16 bytes."""
    return UuidArray(_counted(UuidArray, len(values), _UUID_LENGTH + _UUID_LENGTH.join(values)))


def texts(values: Iterable[str | None]) -> TextArray:
    """A column of texts; members of a ``TextChoices`` count as their values."""
    given = list(values)
    # Most columns have few different texts, such as an actor's name in each row.
    elements = {v: _NULL if v is None else _bytes(v.encode()) for v in set(given)}
    if len(elements) == 1:
        return TextArray(_array(TextArray, [*elements.values()] * len(given)))
    return TextArray(_array(TextArray, [elements[v] for v in given]))


def joined(codes: Iterable[str]) -> str:
    """Codes as one text, for a column of lists of codes, which ``string_to_array(…, E'\\n')`` splits again: PostgreSQL
    has no arrays of arrays of different lengths. No code has a line break."""
    return "\n".join(codes)


def ints(values: Iterable[int]) -> IntArray:
    """A column of integers of 32 bits. Raises OverflowError beyond."""
    given = array("i", values)
    elements = array("i", (4, 0)) * len(given)  # Each number follows its length in bytes.
    elements[1::2] = given
    if sys.byteorder == "little":
        elements.byteswap()
    return IntArray(_counted(IntArray, len(given), elements.tobytes()))


def optional_ints(values: Iterable[int | None]) -> IntArray:
    """A column of integers of 32 bits, some of them null. Raises struct.error beyond."""
    return IntArray(_array(IntArray, [_NULL if v is None else _INT(4, v) for v in values]))


def bools(values: Iterable[bool]) -> BoolArray:
    """A column of booleans."""
    return BoolArray(_array(BoolArray, [_BOOLS[v] for v in values]))


def times(values: Iterable[datetime | None]) -> TimeArray:
    """A column of aware times, to the microsecond."""
    return TimeArray(_array(TimeArray, [_NULL if v is None else _time(v) for v in values]))


def decimals(values: Iterable[Decimal | None]) -> TextArray:
    """A column of decimals, as texts: cast it, ``%s::text[]::numeric[]``."""
    return texts(None if v is None else str(v) for v in values)


def blobs(values: Iterable[bytes]) -> BytesArray:
    """A column of byte strings."""
    return BytesArray(_array(BytesArray, [_bytes(v) for v in values]))


def documents(values: Iterable[bytes]) -> TextArray:
    """A column of encoded JSON documents, sent as texts. Cast each one in the statement: ``document::jsonb``.

    PostgreSQL would parse a ``jsonb[]`` as a whole, and free no memory before the last document is parsed.
    """
    return TextArray(_array(TextArray, [_bytes(v) for v in values]))


def _bytes(value: bytes) -> bytes:
    return _LENGTH(len(value)) + value


def _time(value: datetime) -> bytes:
    since = value - _EPOCH
    return _TIME(8, (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


class _ArrayDumper(Dumper):
    """Dumps an array as its bytes, which are in binary form already."""

    format = Format.BINARY

    def dump(self, obj: _Array) -> Buffer:
        return obj


def register() -> None:
    """Register the arrays with psycopg. Call it before the first connection, which copies the registered types."""
    for kind in (UuidArray, TextArray, IntArray, BoolArray, TimeArray, BytesArray):
        dumper = type(f"{kind.__name__}Dumper", (_ArrayDumper,), {"oid": kind.array_oid})
        psycopg.adapters.register_dumper(kind, dumper)
