"""Versions of rows in the HTTP API: ``ETag`` in answers, ``If-Match`` and ``expectedVersion`` in requests.

A row's entity tag is its version in quotes, ``"7"``. It says whether what users set has changed, not whether a copy of
the answer is fresh, so answers with it aren't kept either.
"""

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
_VERSION: Final = re.compile(r'"([1-9][0-9]{0,17})"')
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
        fault = Fault("/expectedVersion", Invalid.code, f"If-Match is {in_header.text}")
        raise Invalid("expectedVersion and If-Match differ: send one of both.", [fault])
    return given[0] if given else None


def _if_match(text: str | None) -> Expected | None:
    """The versions of an ``If-Match``. A weak tag and one that isn't a version match none (RFC 9110, 13.1.1)."""
    if text is None:
        return None
    if text.strip() == "*":
        return Expected(None, "*")
    if not _TAGS.fullmatch(text):
        raise Invalid('If-Match takes entity tags in quotes, as answers have them in ETag: "7", or *.')
    tags = re.findall(_TAG, text)
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
            faults.append(Fault(f"/{names[name]}", VersionConflict.code, "has another value now", facts))
    return faults


class _Versioned(msgspec.Struct):
    version: int | None = None


def tagged(response: HttpResponse) -> HttpResponse:
    """Add the ``ETag`` to an answer whose body has a ``version``, whether it is made now or was stored."""
    version = msgspec.json.decode(response.content, type=_Versioned).version
    if version is not None:
        response.headers["ETag"] = f'"{version}"'
        response.headers["Cache-Control"] = "no-store"
    return response
