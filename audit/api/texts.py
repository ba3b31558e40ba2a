"""Texts in request bodies and queries, cleaned as everywhere (docs/explanation/rules.md, rule 33)."""

import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

from audit.api.expectations import shown, sized
from audit.api.scalars import Scalar
from audit.texts import REFUSED, RefusedCharacter, clean_code, clean_line, clean_note, is_clean, named

_CLEANED: Final = "Blanks at the ends are removed; control and invisible characters are refused."
_UNPRINTABLE: Final = re.compile(rf"[{REFUSED}]|(?! )\s")
_LONGEST_ID: Final = 64


class CleanText(Scalar):
    """A type of fields whose values are clean texts of ``least`` to ``most`` characters, before and after cleaning.

    ``str`` must be registered as a virtual subclass of each type that is used.
    """

    least: ClassVar[int] = 0
    most: ClassVar[int]

    @staticmethod
    def clean(text: str) -> str:
        """Clean a text. Raises RefusedCharacter."""
        return clean_line(text)

    @classmethod
    def decode(cls, value: Any) -> str:
        if type(value) is str and cls.least <= len(value) <= cls.most and is_clean(value):
            return value  # The common case: nothing to clean.
        try:
            text = cls.clean(_bounded(value, cls.least, cls.most))
        except RefusedCharacter as error:
            raise ValueError(str(error)) from error
        if len(text) < cls.least:
            raise ValueError("has only blanks")
        return _bounded(text, cls.least, cls.most)

    @classmethod
    def expected(cls) -> str:
        return f"a text{sized(cls.least, cls.most, 'character')}"

    @classmethod
    def schema(cls) -> dict[str, Any]:
        least = {"minLength": cls.least} if cls.least else {}
        return {"type": "string", **least, "maxLength": cls.most, "description": _CLEANED}


class CleanCode(CleanText):
    """A type of fields whose values are codes: SKUs, barcodes, places, references."""

    @staticmethod
    def clean(text: str) -> str:
        return clean_code(text)


class CleanNote(CleanText):
    """A type of fields whose values are notes, which may have tabs and line breaks."""

    @staticmethod
    def clean(text: str) -> str:
        return clean_note(text)


def _bounded(value: Any, least: int, most: int) -> str:
    """The value, if it is a text of so many characters. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"must be a text, but is {shown(value)}")  # noqa: TRY004 - the decoder reports ValueErrors
    if not least <= len(value) <= most:
        found = f"has {len(value)}" if value else "is empty"
        raise ValueError(f"must be a text{sized(least, most, 'character')}, but {found}")
    return value


if TYPE_CHECKING:
    OpaqueId = str
    Reference = str
    Text = str
    NonEmptyText = str
else:

    class OpaqueId(Scalar):
        """The caller's own id, which comes back as it was sent."""

        @classmethod
        def decode(cls, value: Any) -> str:
            if type(value) is str and 0 < len(value) <= _LONGEST_ID and value.isascii() and value.isprintable():
                return value  # As nearly all ids are; they are decoded with each hold.
            text = _bounded(value, 1, _LONGEST_ID)
            if found := _UNPRINTABLE.search(text):
                raise ValueError(f"takes only printable characters, but has {named(found.group())}")
            return text

        @classmethod
        def expected(cls) -> str:
            return f"a text{sized(1, _LONGEST_ID, 'character')}"

        @classmethod
        def schema(cls) -> dict[str, Any]:
            description = f"It has 1 to {_LONGEST_ID} printable characters."
            return {"type": "string", "minLength": 1, "maxLength": _LONGEST_ID, "description": description}

    class Reference(CleanCode):
        """The number of a document."""

        most = 100

    class Text(CleanNote):
        """A note, or a reason."""

        most = 500

    class NonEmptyText(Text):
        """A note that must say something."""

        least = 1

    for _kind in (OpaqueId, Reference, Text, NonEmptyText):
        _kind.register(str)
