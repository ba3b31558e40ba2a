"""Entity tags in the HTTP API: ``ETag`` in answers, ``If-None-Match`` and ``If-Match`` in requests; versions.

The tag of an answer is a hash of its body, behind the row's version if it has one: ``"7-9f86…"``. The hash says whether
a copy of the answer is still right, to the byte. The version doesn't say that: answers also have what changes without
it, such as freezes and what depends on the time. ``If-Match`` compares the version alone: what users set.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from django.http import HttpResponse
from msgspec import UNSET
from rest_framework.request import Request

from audit.errors import Fault, Invalid, VersionConflict
from audit.preconditions import Precondition

_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS: Final = re.compile(rf"[\s,]*{_TAG}(?:[ \t]*,[\s,]*{_TAG})*[\s,]*")
_VERSION: Final = re.compile(r'\A"([1-9][0-9]{0,17})(?:-[0-9a-f]{32}(?:-gzip)?)?"\Z')
_CODED: Final = '-gzip"'
"""The end of the tag of a compressed answer. It is another than that of the plain answer, whose bytes differ."""
_HASH_LENGTH: Final = 32
_SHOWN_TAGS_LENGTH: Final = 60
_EXPECTED: Final = "expected_version"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a request requires of a row.

    ``versions`` are those that it may have; None for any. ``is_new`` requires that it doesn't exist, everything else
    that it does. ``text`` is what the client sent and ``pointer`` where, for the refusal.
    """

    versions: frozenset[int] | None
    text: str
    pointer: str = ""
    is_new: bool = False


def expected_of(request: Request, version: int | None) -> Expected | None:
    """What a request requires: its body's ``expectedVersion``, ``If-Match`` and ``If-None-Match: *``; None if nothing.

    Raises Invalid for a malformed header, and if two of them contradict each other.
    """
    in_header = _if_match(request.META.get("HTTP_IF_MATCH"))
    new = _if_none_match(request.META.get("HTTP_IF_NONE_MATCH"))
    in_body = None if version is None else Expected(frozenset({version}), str(version), "/expectedVersion")
    given = [each for each in (in_body, in_header, new) if each is not None]
    if new is not None and len(given) > 1:
        raise Invalid("If-None-Match: * is for a new row, which has no version yet.")
    if in_body and in_header and in_header.versions is not None and version not in in_header.versions:
        fault = Fault("/expectedVersion", Invalid.code, f"The header If-Match is {in_header.text}.")
        raise Invalid("expectedVersion and If-Match differ: send only one of them.", [fault])
    return given[0] if given else None


def _if_match(text: str | None) -> Expected | None:
    """The versions of an ``If-Match``. A weak tag and one that isn't a version match none (RFC 9110, 13.1.1)."""
    if text is None:
        return None
    if text.strip() == "*":
        return Expected(None, "*")
    if not _TAGS.fullmatch(text):
        raise Invalid('If-Match takes entity tags in quotes, as answers have them in ETag, a version: "7", or *.')
    tags = [_VERSION.sub(r'"\1"', tag) for tag in re.findall(_TAG, text)]
    versions = frozenset(int(found[1]) for tag in tags if (found := _VERSION.fullmatch(tag)))
    shown = ", ".join(tags)
    return Expected(versions, shown if len(shown) <= _SHOWN_TAGS_LENGTH else f"{shown[:_SHOWN_TAGS_LENGTH]}…")


def _if_none_match(text: str | None) -> Expected | None:
    if text is None:
        return None
    if text.strip() != "*":
        raise Invalid("If-None-Match only accepts *: create it only if it doesn't exist.")
    return Expected(None, "*", is_new=True)


def precondition(
    expected: Expected | None, body: msgspec.Struct, as_body: Callable[[Any], Mapping[str, Any]]
) -> Precondition:
    """The precondition of a request on a row with a ``version``.

    ``as_body`` gives a row's values by the body's fields: the refusal has those that differ from what was sent.
    """

    def check(row: Any) -> None:
        if expected is None:
            return
        if row is None:
            if not expected.is_new:
                raise _conflict(expected, "It doesn't exist", None)
            return
        if expected.is_new:
            raise _conflict(expected, f"It exists, with version {row.version}", row.version)
        if expected.versions is not None and row.version not in expected.versions:
            raise _conflict(expected, f"It has version {row.version}", row.version, differences(body, as_body(row)))

    return check


def _conflict(
    expected: Expected, finding: str, version: int | None, different: list[Fault] | None = None
) -> VersionConflict:
    facts = {"expected": expected.text, "version": version}
    detail = f"{finding}, and was expected to be new." if expected.is_new else f"{finding}, not {expected.text}."
    return VersionConflict(
        detail, [Fault(expected.pointer, VersionConflict.code, detail, facts), *(different or [])][:20]
    )


def differences(body: msgspec.Struct, now: Mapping[str, Any]) -> list[Fault]:
    """A fault for each field of a body whose value isn't the present one, with both values."""
    names = {field.name: field.encode_name for field in msgspec.structs.fields(body)}
    faults = []
    for name, value in now.items():
        sent = getattr(body, name)
        if sent is not UNSET and sent != value:
            facts = {"sent": msgspec.to_builtins(sent), "current": msgspec.to_builtins(value)}
            faults.append(
                Fault(f"/{names[name]}", VersionConflict.code, f"`{names[name]}` has another value now.", facts)
            )
    return faults


class _Versioned(msgspec.Struct):
    version: int | None = None


def tag_of(body: bytes) -> str:
    """The ``ETag`` of an answer with this body."""
    version = msgspec.json.decode(body, type=_Versioned).version
    digest = hashlib.sha256(body).hexdigest()[:_HASH_LENGTH]
    return f'"{digest}"' if version is None else f'"{version}-{digest}"'


def tagged(response: HttpResponse) -> HttpResponse:
    """Add the ``ETag`` to an answer, whether it is made now or was stored."""
    response.headers["ETag"] = tag_of(response.content)
    return response


KEPT: Final = {"Cache-Control": "private, no-cache", "Vary": "Authorization, Accept-Encoding"}
"""The headers of answers that clients may keep, and ask each time whether they are still the same."""


def tag_if_new(body: bytes, known: str | None) -> tuple[str, bool]:
    """The ``ETag`` of an answer to a read, and whether the client has no such answer yet (its ``If-None-Match``).

    Raises Invalid for a malformed ``If-None-Match``.
    """
    tag = tag_of(body)
    known_as = _known_as(tag, known)
    return (tag, True) if known_as is None else (known_as, False)


def respond_unless_known(request: Request, answer: msgspec.Struct) -> HttpResponse:
    """The answer to a read of one thing, with its ``ETag``; a 304 without a body if the client has the same already.

    The answer is made in any case: a 304 saves sending it. Raises Invalid for a malformed ``If-None-Match``.
    """
    return unless_known(request, HttpResponse(msgspec.json.encode(answer), content_type="application/json"))


def unless_known(request: Request, response: HttpResponse) -> HttpResponse:
    """An answer with its ``ETag``, or a 304 instead. Raises Invalid for a malformed ``If-None-Match``."""
    tag, is_new = tag_if_new(response.content, request.META.get("HTTP_IF_NONE_MATCH"))
    if not is_new:
        response.content, response.status_code = b"", 304
        del response.headers["Content-Type"]
    response.headers["ETag"] = tag
    for name, value in KEPT.items():
        response.headers[name] = value
    return response


def _known_as(tag: str, known: str | None) -> str | None:
    """The tag in an ``If-None-Match`` by which the client has the answer, plain or compressed; None if it hasn't.

    Weak tags are equal to strong ones (RFC 9110, 13.1.2).
    """
    if known is None:
        return None
    if known.strip() == "*":
        return tag
    if not _TAGS.fullmatch(known):
        raise Invalid("If-None-Match takes entity tags in quotes, as answers have them in ETag, or *.")
    sent = {each.removeprefix("W/") for each in re.findall(_TAG, known)}
    return next((each for each in (tag, f"{tag[:-1]}{_CODED}") if each in sent), None)
