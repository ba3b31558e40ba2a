"""JSON bodies: the checks before they are decoded, their canonical form, and names that stand twice in an object."""

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import msgspec
from django.conf import settings
from rest_framework import exceptions
from rest_framework.request import Request

from audit.api.pointers import MOST, escaped
from audit.errors import Fault, Invalid, Malformed, TooLarge
from audit.whole_numbers import visible

JSON: Final = "application/json"
CANONICAL: Final = "inventory.canonical_body"
"""Where the ``META`` of a request keeps the canonical form of its body."""
_GZIP: Final = b"\x1f\x8b"
_BYTE_ORDER_MARKS: Final = {
    b"\xef\xbb\xbf": "UTF-8",
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_FORM: Final = "application/x-www-form-urlencoded"
_CUT: Final = "Input data was truncated"
_BYTE: Final = re.compile(r" \(byte (\d+)\)$")
_MOST_EXACT: Final = 2**53
"""Up to here, each whole number is one float."""


class CompressedBody(exceptions.UnsupportedMediaType):
    """The body is compressed. ``accept_encoding`` is the header of the answer that says what is accepted."""

    accept_encoding = "identity"


def raw_body(request: Request) -> bytes:
    """The body as bytes. Raises TooLarge, or Malformed for a ``Content-Length`` that isn't a number."""
    length = str(request.META.get("CONTENT_LENGTH") or 0)
    if not (length.isascii() and length.isdigit()):
        raise Malformed("Content-Length is not a number.")
    if len(length) > 18 or int(length) > settings.BODY_LIMIT_BYTES:
        raise TooLarge(f"A body has at most {settings.BODY_LIMIT_BYTES} bytes.")
    return request._request.body


def media_type_of(request: Request) -> str:
    """The media type of the body in lower case, without parameters; empty if there is none."""
    return str(request.META.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower()


def require_json(request: Request, raw: bytes, media_types: tuple[str, ...] = (JSON,)) -> None:
    """Check what a body is sent as. Raises CompressedBody, Malformed for an empty body, or UnsupportedMediaType."""
    meta = request.META
    if raw[:1] == b"{" and meta.get("CONTENT_TYPE") == JSON and "HTTP_CONTENT_ENCODING" not in meta:
        return  # As nearly all bodies are sent.
    coding = meta.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if coding not in ("", "identity") or raw[:2] == _GZIP:
        found = f"Content-Encoding is “{visible(coding)}”" if coding else "The body is compressed by gzip"
        raise CompressedBody("", detail=f"{found}, and compressed bodies are not accepted. Send the JSON as it is.")
    media_type = media_type_of(request)
    if not raw:
        raise Malformed(f"The body is empty. Send JSON, with Content-Type: {media_types[0]}.")
    if media_type not in media_types:
        raise exceptions.UnsupportedMediaType(media_type, detail=_other_type(media_type, media_types))


def _other_type(media_type: str, media_types: tuple[str, ...]) -> str:
    found = f"The Content-Type is “{visible(media_type)}”" if media_type else "The request has no Content-Type"
    hint = " (curl sends this type with -d unless a header says otherwise)" if media_type == _FORM else ""
    return f"{found}{hint}. Send the header Content-Type: {' or '.join(media_types)}."


def malformed(raw: bytes, error: Exception) -> Malformed:
    """The refusal of a body that isn't JSON in UTF-8."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if raw.startswith(mark):
            hint = "" if encoding == "UTF-8" else f", and is in {encoding}"
            return Malformed(f"The body begins with a byte order mark (BOM){hint}. Send UTF-8 without one.")
    if not raw.strip():
        return Malformed("The body has only blanks. Send JSON.")
    if b"\0" in raw[:2]:
        return Malformed("The body begins as text in UTF-16 or UTF-32 does. Send UTF-8.")
    if isinstance(error, RecursionError):
        return Malformed("The body is not JSON that can be read: it is nested too deeply.")
    return Malformed(f"The body is not JSON in UTF-8: {_reason(raw, error)}.")


def _reason(raw: bytes, error: Exception) -> str:
    try:
        raw.decode()
    except UnicodeDecodeError as undecoded:
        return f"{_place(raw, undecoded.start)} has a byte that isn't UTF-8"
    reason = str(error).removeprefix("JSON is malformed: ").replace(_CUT, "it ends too early")
    place = _BYTE.search(reason)
    return reason if place is None else f"{_BYTE.sub('', reason)} ({_place(raw, int(place[1]))})"


def _place(raw: bytes, position: int) -> str:
    before = raw[:position]
    line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
    return f"line {line}, column {column}"


def _plain_number(text: str) -> int | float:
    """A number with a point or an exponent: ``1.0`` and ``1e0`` are 1."""
    number = float(text)
    return int(number) if number.is_integer() and abs(number) <= _MOST_EXACT else number


_decoder: Final = msgspec.json.Decoder(float_hook=_plain_number)
_encoder: Final = msgspec.json.Encoder(order="sorted")


def canonical(raw: bytes) -> bytes:
    """The canonical form of a body: equal for bodies that differ in spacing, order of names, escapes, or in how a
    number is written.

    Raises msgspec.DecodeError, UnicodeDecodeError and RecursionError for what isn't JSON, and Invalid, with a pointer
    to each, for names that stand twice in an object.
    """
    form = _encoder.encode(_decoder.decode(raw))
    # Without an escape in it, JSON has two quotes for each of its texts: fewer of them are left if a name stood twice.
    if (b"\\" in raw or raw.count(b'"') != form.count(b'"')) and (faults := repetitions(tree_of(raw))):
        raise Invalid(faults[0].detail, faults)
    return form


class _Object(dict[str, Any]):
    """A JSON object with the names that stand in it more than once."""

    repeated: tuple[str, ...] = ()


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        repeated = [name for name, _ in pairs if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
        made.repeated = tuple(dict.fromkeys(repeated))
    return made


def _whole(text: str) -> int | float:
    return int(text) if len(text) < 400 else float(text)


_exact: Final = json.JSONDecoder(object_pairs_hook=_object, parse_int=_whole)


def tree_of(raw: bytes) -> Any:
    """The parsed body for ``repetitions``, in which objects know the names that stood in them twice; slow.

    Raises ValueError and RecursionError.
    """
    return _exact.decode(raw.decode())


def repetitions(tree: Any) -> list[Fault]:
    """A fault for each name that stands more than once in an object of a parsed body, at any depth; at most ``MOST``.

    Raises RecursionError.
    """
    return list(islice(_repetitions(tree, ""), MOST))


def _repetitions(value: Any, pointer: str) -> Iterator[Fault]:
    if isinstance(value, _Object):
        for name in value.repeated:
            detail = f"`{visible(name)}` stands more than once in the same object. Send it once."
            yield Fault(f"{pointer}/{escaped(name)}", Invalid.code, detail)
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from _repetitions(child, f"{pointer}/{escaped(str(key))}")
