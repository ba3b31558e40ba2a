"""Normalise texts that people type, scan or import: trimmed, NFC, without invisible characters. Pure.

Two texts that look the same on paper are then the same text, and a code on a label finds the row that it was typed for
(docs/explanation/rules.md, rule 33).
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from django.utils.translation import gettext

_BLANKS: Final = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
"""Unicode's spaces besides the ordinary one, as a class of a regular expression."""
_BREAKS: Final = "\t\n\v\f\r\u0085\u2028\u2029"
_CONTROLS: Final = "\0-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"
_SELECTORS: Final = "\ufe0e\ufe0f"
"""The variation selectors that show a sign as text or as a picture, as in ❤️."""
_UNSEEN: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
"""Characters of no width or without a picture, and those that turn the direction of a text: Unicode's default ignorable
code points, its format characters, and blanks that count as letters or signs."""
_NO_CHARACTERS: Final = "\ud800-\udfff\ufdd0-\ufdef" + "".join(
    f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
)
"""Halves of surrogate pairs, and the code points that are never characters."""

REFUSED_IN_NOTES: Final = f"{_CONTROLS}\v\f\u0085\u2028\u2029{_UNSEEN}{_NO_CHARACTERS}"
"""The characters refused in notes, as a class of a regular expression."""
REFUSED: Final = f"{_CONTROLS}{_BREAKS}{_UNSEEN}{_NO_CHARACTERS}"
"""The characters refused in a line, as a class of a regular expression: those of notes, tabs and line breaks."""

LAST_CHARACTER: Final = chr(0x10FFFF)
"""The last code point: bytewise, texts with a prefix sort before the prefix with this character."""

_REFUSED: Final = re.compile(f"[{REFUSED}]")
_REFUSED_IN_NOTES: Final = re.compile(f"[{REFUSED_IN_NOTES}]")
_OTHER_BLANKS: Final = re.compile(f"[{_BLANKS}]")
_ENDS: Final = re.compile(rf"\A[ {_BLANKS}{_BREAKS}]+|[ {_BLANKS}{_BREAKS}]+\Z")
_NAMES: Final = {
    0x00: "NULL",
    0x09: "TAB",
    0x0A: "LINE FEED",
    0x0B: "LINE TABULATION",
    0x0C: "FORM FEED",
    0x0D: "CARRIAGE RETURN",
    0x1B: "ESCAPE",
    0x1D: "GROUP SEPARATOR",
    0x7F: "DELETE",
    0x85: "NEXT LINE",
}
"""Unicode's data has no names of control characters."""
_KINDS: Final = {"Cc": "CONTROL CHARACTER", "Cs": "HALF OF A SURROGATE PAIR", "Cn": "NO CHARACTER"}


class RefusedCharacter(ValueError):
    """A text has a character that is refused. The message is a predicate, whose subject is the field or the cell.

    ``position`` counts characters from 1, in the text as it was given.
    """

    def __init__(self, character: str, position: int) -> None:
        words = gettext("has the character %(character)s in position %(position)s, which is not allowed: type it again")
        super().__init__(words % {"character": named(character), "position": position})
        self.character = character
        self.position = position


def clean_code(text: str) -> str:
    """Normalise a code (SKU, barcode, place, reference): trimmed, every blank an ordinary space, in Unicode's normal
    form C. Cleaning a clean text changes nothing. Raises RefusedCharacter for a control, invisible, bidirectional or
    non-character, a tab or a line break inside.
    """
    return _cleaned(text, _REFUSED)


def is_clean(text: str) -> bool:
    """Whether a text is printable ASCII without blanks at its ends, so that cleaning doesn't change it."""
    return text.isascii() and text.isprintable() and text[:1] != " " and text[-1:] != " "


def clean_line(text: str) -> str:
    """Normalise a name, or another line of words: as a code, and without the selectors that make a sign a picture."""
    return _cleaned(text, _REFUSED, dropped=_SELECTORS)


def clean_note(text: str) -> str:
    """Normalise a note: as a line, but tabs and line breaks inside it stay."""
    return _cleaned(text, _REFUSED_IN_NOTES, dropped=_SELECTORS)


def _cleaned(text: str, refused: re.Pattern[str], *, dropped: str = "") -> str:
    if text.isascii() and text.isprintable():
        return text.strip(" ")
    trimmed = _ENDS.sub("", text)
    kept = trimmed.translate(dict.fromkeys(map(ord, dropped)))
    if found := refused.search(kept):
        character = found.group()
        raise RefusedCharacter(character, text.index(character, text.index(trimmed)) + 1)
    return unicodedata.normalize("NFC", _OTHER_BLANKS.sub(" ", kept)).strip(" ")


def without_refused(text: str) -> str:
    """The clean text that remains when the characters that are refused in a line are left out."""
    return clean_line(_REFUSED.sub("", _ENDS.sub("", text)))


def named(character: str) -> str:
    """The code point and the name of a character, such as ``U+200B ZERO WIDTH SPACE``."""
    point = ord(character)
    name = _NAMES.get(point) or unicodedata.name(character, _KINDS.get(unicodedata.category(character), ""))
    return f"U+{point:04X} {name}".rstrip()


def listed(texts: Sequence[str]) -> str:
    """Texts as a sentence lists them: ``a, b and c``."""
    *before, last = texts
    return f"{', '.join(before)} and {last}" if before else last
