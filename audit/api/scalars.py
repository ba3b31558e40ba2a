"""Fields of bodies and queries that are checked further than msgspec does by itself: decimals and times."""

from abc import ABC, abstractmethod
from functools import cache
from typing import Any


class Scalar(ABC):
    """A type of fields whose values are those of a plain Python type, which is registered as its virtual subclass."""

    @classmethod
    @abstractmethod
    def decode(cls, value: Any) -> Any:
        """The value of a JSON number or text.

        Raises ValueError with the rest of a sentence that begins with the field's name: ``must be …``.
        """

    @classmethod
    @abstractmethod
    def expected(cls) -> str:
        """What the field takes, in words: ``a text of 1 to 64 characters``."""

    @classmethod
    @abstractmethod
    def schema(cls) -> dict[str, Any]:
        """Its JSON schema."""


def decode_scalar(kind: Any, value: Any) -> Any:
    """The ``dec_hook`` of the decoders of bodies and queries."""
    return _scalar(kind).decode(value)


@cache
def _scalar(kind: Any) -> type[Scalar]:
    """The type as a ``Scalar``; raises NotImplementedError if it is none. Cached: ``issubclass`` of an ABC is slow."""
    if not issubclass(kind, Scalar):
        raise NotImplementedError(kind)
    found: type[Scalar] = kind
    return found


def scalar_schema(kind: Any) -> dict[str, Any]:
    """The ``schema_hook`` of the OpenAPI document."""
    return _scalar(kind).schema()
