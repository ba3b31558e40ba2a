"""Doubts about unusual figures, which a dialog asks to confirm before it does anything."""

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple

SURE: Final = "sure"
"""The name of the checkbox. It is a checkbox, not a button: the Enter at the end of a scan can't tick it."""


class Doubt(NamedTuple):
    """``figure`` names the figure and its value; ``text`` is the sentence for the user."""

    figure: str
    text: str


def answer_to(doubts: Sequence[Doubt]) -> str:
    """The value of the box: it confirms these figures, and no others."""
    return hashlib.sha256("\n".join(doubt.figure for doubt in doubts).encode()).hexdigest()
