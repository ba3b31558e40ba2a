"""Whole numbers as people type them and files have them: the digits 0 to 9, and a sign where a number may be negative
(docs/explanation/rules.md, rule 18).

``int()`` is too lenient: it reads ``1_000``, digits of other scripts and blanks. ``1.000`` and ``1,000`` mean a
thousand to some people and one to others, so that both are refused. Pure.
"""

import re
from typing import Final

from django.utils.formats import number_format
from django.utils.translation import gettext

_UNSIGNED: Final = re.compile(r"[0-9]+")
_SIGNED: Final = re.compile(r"[+\-−]?[0-9]+")
_MOST_DIGITS: Final = 18
_TOO_LARGE: Final = 10**_MOST_DIGITS
"""Replaces every number with more digits; it is beyond all bounds."""
_MOST_SHOWN: Final = 40
_NAMES: Final = ((1_000_000_000, "billion"), (1_000_000, "million"), (1_000, "thousand"))


class NotWhole(ValueError):
    """A text is not a whole number within its bounds. The error's text is a sentence for people."""


def parse_whole_number(text: str, *, least: int, most: int) -> int:
    """The number of a text from which blanks at both ends are removed. A sign, also the minus ``−``, is taken if
    ``least`` is negative. Raises NotWhole, with what was typed and what is expected."""
    typed = text.strip()
    if not (_SIGNED if least < 0 else _UNSIGNED).fullmatch(typed):
        hint = (
            gettext("Use only the digits 0 to 9, with + or − before them if needed.")
            if least < 0
            else gettext("Use only the digits 0 to 9.")
        )
        raise NotWhole(f"{_range_text(typed, least, most)} {hint}")
    digits = typed.lstrip("+-−").lstrip("0") or "0"
    number = int(digits) if len(digits) <= _MOST_DIGITS else _TOO_LARGE
    if typed[0] in "-−":
        number = -number
    if not least <= number <= most:
        raise NotWhole(_range_text(typed, least, most))
    return number


def parse_hidden_number(text: str) -> int:
    """The number that a page put into its own form, such as a version; 0 for any other text, however long."""
    return int(text) if len(text) <= _MOST_DIGITS and _UNSIGNED.fullmatch(text) else 0


def _range_text(typed: str, least: int, most: int) -> str:
    message = gettext("“%(typed)s” is not a whole number from %(least)s to %(most)s.")
    return message % {"typed": visible(typed), "least": grouped(least), "most": grouped(most)}


def visible(text: str) -> str:
    """A text for a message: cut after 40 characters, with invisible characters as ``<U+200B>``."""
    shown = "".join(letter if letter.isprintable() else f"<U+{ord(letter):04X}>" for letter in text[:_MOST_SHOWN])
    return shown if len(text) <= _MOST_SHOWN else f"{shown}…"


def grouped(number: int) -> str:
    """A number with separators between its thousands."""
    return str(number_format(number, force_grouping=True))


def in_thousands(number: int) -> str:
    """A number in words of thousands, such as ``123 million 456 thousand 781``, which is hard to misread."""
    parts, rest = [], abs(number)
    for size, name in _NAMES:
        if rest >= size:
            parts.append(f"{rest // size} {gettext(name)}")
            rest %= size
    if rest or not parts:
        parts.append(str(rest))
    return f"{'−' if number < 0 else ''}{' '.join(parts)}"
