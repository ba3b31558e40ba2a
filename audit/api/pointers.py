"""JSON pointers (RFC 6901) into bodies, and how many a refusal has."""

from typing import Final

MOST: Final = 20
"""The most faults that a refusal lists."""


def escaped(name: str) -> str:
    """A name as a part of a pointer."""
    return name.replace("~", "~0").replace("/", "~1")
