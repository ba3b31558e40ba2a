"""Form fields for texts, cleaned as everywhere (docs/explanation/rules.md, rule 33)."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from audit.texts import RefusedCharacter, clean_code, clean_line, clean_note


class LineField(forms.CharField):
    """A line of words, such as a name. Its length is counted in what remains."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "strip": False})

    @staticmethod
    def cleaned(text: str) -> str:
        """The clean text. Raises RefusedCharacter."""
        return clean_line(text)

    def to_python(self, value: Any) -> Any:
        """The clean text. Raises ValidationError for a refused character."""
        try:
            text = self.cleaned("" if value in self.empty_values else str(value))
        except RefusedCharacter as error:
            raise ValidationError(gettext("This text %(fault)s.") % {"fault": error}, code="refused") from error
        return text or self.empty_value


class CodeField(LineField):
    """A code: a SKU, a barcode, a place, a reference."""

    @staticmethod
    def cleaned(text: str) -> str:
        return clean_code(text)


class NoteField(LineField):
    """A note, which may have several lines."""

    @staticmethod
    def cleaned(text: str) -> str:
        return clean_note(text)


def require_visible(text: str) -> None:
    """A validator that refuses the characters which are refused in a line. Raises ValidationError."""
    LineField().to_python(text)
