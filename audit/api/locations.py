"""The address of what a request created: the ``Location`` of an answer with 201."""

import re
from functools import cache
from typing import Final
from urllib.parse import quote

import msgspec

_FIELD: Final = re.compile(r"\{(\w+)\}")


def location_of(template: str, body: bytes) -> str:
    """The path that ``template`` has for an answer, whose ``{field}`` is the value of this field of the body (JSON).

    It is made of the body, so that the answer to a repeated request, which is stored without headers, has it, too.
    """
    before, field, after = _FIELD.split(template)
    return f"{before}{quote(_decoder(field).decode(body).value, safe='')}{after}"


@cache
def _decoder(field: str) -> "msgspec.json.Decoder[_Created]":
    """A decoder that reads this field alone."""
    kind = msgspec.defstruct("Named", [("value", str)], bases=(_Created,), rename={"value": field})
    return msgspec.json.Decoder(kind)


class _Created(msgspec.Struct):
    value: str
