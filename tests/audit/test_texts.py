"""The normaliser of texts that people type, scan or import."""

import re
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.texts import (
    REFUSED,
    RefusedCharacter,
    clean_code,
    clean_line,
    clean_note,
    is_clean,
    named,
    without_refused,
)

VISIBLE_FORMATS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
"""Format characters with a picture: signs around numbers in Arabic, Syriac and Kaithi."""
REFUSED_INSIDE = {
    "\0": "U+0000 NULL",
    "\t": "U+0009 TAB",
    "\r": "U+000D CARRIAGE RETURN",
    "\x1d": "U+001D GROUP SEPARATOR",
    "\x85": "U+0085 NEXT LINE",
    "\x9f": "U+009F CONTROL CHARACTER",
    "\xad": "U+00AD SOFT HYPHEN",
    "\u034f": "U+034F COMBINING GRAPHEME JOINER",
    "\u061c": "U+061C ARABIC LETTER MARK",
    "\u200b": "U+200B ZERO WIDTH SPACE",
    "\u200d": "U+200D ZERO WIDTH JOINER",
    "\u202e": "U+202E RIGHT-TO-LEFT OVERRIDE",
    "\u2028": "U+2028 LINE SEPARATOR",
    "\u2066": "U+2066 LEFT-TO-RIGHT ISOLATE",
    "\u2800": "U+2800 BRAILLE PATTERN BLANK",
    "\u3164": "U+3164 HANGUL FILLER",
    "\ufe0f": "U+FE0F VARIATION SELECTOR-16",
    "\ufeff": "U+FEFF ZERO WIDTH NO-BREAK SPACE",
    "\ufffe": "U+FFFE NO CHARACTER",
    "\uffff": "U+FFFF NO CHARACTER",
    "\U0001ffff": "U+1FFFF NO CHARACTER",
    "\U000e0041": "U+E0041 TAG LATIN CAPITAL LETTER A",
    "\ud800": "U+D800 HALF OF A SURROGATE PAIR",
}


@pytest.mark.parametrize(
    ("given_text", "clean"),
    [
        ("F12", "F12"),
        ("F12 ", "F12"),
        (" \t\r\nF12\u00a0\u3000\u2028\x85", "F12"),
        ("F\u00a012", "F 12"),
        ("Cafe\u0301", "Café"),
        ("Größe 5–6 µm", "Größe 5–6 µm"),
        ("", ""),
        (" \u2007 ", ""),
    ],
)
def test_a_text_is_trimmed_and_in_one_spelling(given_text: str, clean: str) -> None:
    assert clean_code(given_text) == clean_line(given_text) == clean_note(given_text) == clean


@pytest.mark.parametrize(("character", "name"), REFUSED_INSIDE.items())
def test_a_refused_character_is_named_with_its_position(character: str, name: str) -> None:
    with pytest.raises(RefusedCharacter, match=re.escape(f"has the character {name} in position 4")) as refused:
        clean_code(f" F1{character}2")
    assert (refused.value.character, refused.value.position) == (character, 4)
    if character != "\ufe0f":
        with pytest.raises(RefusedCharacter):
            clean_line(f"F1{character}2")


def test_a_picture_stays_in_a_name_as_its_sign() -> None:
    assert clean_line("I ❤\ufe0f NY") == "I ❤ NY"


def test_a_note_keeps_its_lines() -> None:
    assert clean_note("first\r\n\tsecond\n") == "first\r\n\tsecond"
    with pytest.raises(RefusedCharacter):
        clean_note("first\0second")


def test_every_control_and_format_character_is_refused_unless_it_has_a_picture() -> None:
    refused = re.compile(f"[{REFUSED}]")
    points = map(chr, range(0x110000))
    unseen = [each for each in points if unicodedata.category(each) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    assert "".join(each for each in unseen if not refused.match(each)) == VISIBLE_FORMATS
    # Of the code points without a character, those that will never have one, and those that are to be ignored.
    assert all(refused.match(chr(plane + last)) for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF))


SEASONED = st.text(st.one_of(st.characters(), st.sampled_from([*REFUSED_INSIDE, " ", "\u00a0", "e", "\u0301", "\n"])))


def cleaned(clean: Callable[[str], str], text: str) -> str | RefusedCharacter:
    """The clean text, or the error."""
    try:
        return clean(text)
    except RefusedCharacter as error:
        return error


@given(SEASONED)
def test_a_clean_text_stays_as_it_is(text: str) -> None:
    for clean in (clean_code, clean_line, clean_note):
        once = cleaned(clean, text)
        if isinstance(once, RefusedCharacter):
            assert text[once.position - 1] == once.character
            assert named(once.character) in str(once)
            continue
        assert clean(once) == once == unicodedata.normalize("NFC", once)
        assert once == once.strip(" \u00a0\u3000\t\r\n")
        assert not re.search("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]", once)


@given(SEASONED)
def test_what_is_clean_can_be_stored_and_printed(text: str) -> None:
    kept = without_refused(text)
    assert clean_line(kept) == kept
    assert not re.search(f"[{REFUSED}]", kept)
    kept.encode()


@given(st.text(st.characters(blacklist_categories=["C", "Z", "M"]), min_size=1))
def test_only_the_ends_of_a_visible_text_are_taken_off(text: str) -> None:
    visible = re.sub(f"[{REFUSED}]", "", text)
    assert clean_code(f"\u00a0 {visible}\r\n") == unicodedata.normalize("NFC", visible)


@given(st.text(st.characters(max_codepoint=0x2FF)) | st.text(" a-\t\x7f\xa0"))
def test_a_text_that_needs_no_cleaning_stays_as_it_is(text: str) -> None:
    if is_clean(text):
        assert clean_code(text) == clean_line(text) == clean_note(text) == text
