"""Fields of bodies and queries that are checked further than msgspec does by itself: decimals and times."""

from abc import ABC, abstractmethod
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


def decode_scalar(kind: type[Any], value: Any) -> Any:
    """The ``dec_hook`` of the decoders of bodies and queries."""
    if not issubclass(kind, Scalar):
        raise NotImplementedError(kind)
    return kind.decode(value)


def scalar_schema(kind: type[Any]) -> dict[str, Any]:
    """The ``schema_hook`` of the OpenAPI document."""
    if not issubclass(kind, Scalar):
        raise NotImplementedError(kind)
    return kind.schema()
