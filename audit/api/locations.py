"""The address of what a request created: the ``Location`` of an answer with 201."""

import re
from functools import cache
from typing import Final
from urllib.parse import quote

import msgspec

_FIELD: Final = re.compile(r"\{(\w+)\}")
_PLAIN: Final = re.compile(r"[a-z0-9-]+").fullmatch
"""Matches what needn't be quoted, as nearly all ids."""


def location_of(template: str, body: bytes) -> str:
    """The path that ``template`` has for an answer, whose ``{field}`` is the value of this field of the body (JSON).

    It is made of the body, so that the answer to a repeated request, which is stored without headers, has it, too.
    """
    before, decoder, after = _parts(template)
    value = decoder.decode(body).value
    return f"{before}{value if _PLAIN(value) else quote(value, safe='')}{after}"


@cache
def _parts(template: str) -> tuple[str, "msgspec.json.Decoder[_Created]", str]:
    before, field, after = _FIELD.split(template)
    return before, _decoder(field), after


def _decoder(field: str) -> "msgspec.json.Decoder[_Created]":
    """A decoder that reads this field alone."""
    kind = msgspec.defstruct("Named", [("value", str)], bases=(_Created,), rename={"value": field})
    return msgspec.json.Decoder(kind)


class _Created(msgspec.Struct):
    value: str
