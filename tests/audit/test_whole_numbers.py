"""Whole numbers as they are typed."""

import pytest
from django import forms

from audit.console.numbers import QuantityField, WholeNumberField
from audit.whole_numbers import NotWhole, in_thousands, parse_hidden_number, parse_whole_number

NO_NUMBERS = [
    "",
    " ",
    "1.000",
    "1.0",
    "1.5",
    "1,000",
    "1 000",
    "1\u00a0000",
    "1\u202f000",
    "1'000",
    "1_000",
    "1e3",
    "0x10",
    "0b1",
    "ten",
    "1-",
    "- 5",
    "--5",
    "1+1",
    "=5",
    "'5",
    "٣",
    "१",
    "５",
    "²",
    "①",
    "\u200b5",
    "1\u200b0",
    "5\x00",
    "NaN",
    "inf",
    "True",
    "–5",
    "－5",
]


@pytest.mark.parametrize("text", NO_NUMBERS)
@pytest.mark.parametrize("least", [0, -1_000_000])
def test_whatever_is_not_digits_alone_is_refused(text: str, least: int) -> None:
    with pytest.raises(NotWhole, match="is not a whole number from"):
        parse_whole_number(text, least=least, most=1_000_000)


@pytest.mark.parametrize("text", ["+5", "-5", "−5", "-0", "+0"])
def test_sign_is_refused_where_no_number_is_negative(text: str) -> None:
    with pytest.raises(NotWhole, match=r"Use only the digits 0 to 9\.$"):
        parse_whole_number(text, least=0, most=10)


@pytest.mark.parametrize(
    ("text", "number"),
    [("5", 5), (" 5 ", 5), ("5\n", 5), ("\u00a05", 5), ("007", 7), ("0", 0), ("1000000", 1_000_000), ("0" * 50, 0)],
)
def test_digits_are_read_as_they_are(text: str, number: int) -> None:
    assert parse_whole_number(text, least=0, most=1_000_000) == number


@pytest.mark.parametrize(("text", "number"), [("+5", 5), ("-5", -5), ("−5", -5), ("5", 5), ("-0", 0)])
def test_sign_is_read_where_numbers_may_be_negative(text: str, number: int) -> None:
    assert parse_whole_number(text, least=-10, most=10) == number


@pytest.mark.parametrize("text", ["0", "11", "2147483648", "9" * 19, "9" * 10_000])
def test_number_out_of_its_bounds_is_refused(text: str) -> None:
    with pytest.raises(NotWhole, match=r"is not a whole number from 1 to 10\.$"):
        parse_whole_number(text, least=1, most=10)
    with pytest.raises(NotWhole, match=r"from -100 to 10\.$"):
        parse_whole_number(f"-11{text}", least=-100, most=10)


@pytest.mark.parametrize(
    ("text", "number"),
    [("7", 7), ("9" * 18, 10**18 - 1), ("9" * 5000, 0), ("", 0), ("-1", 0), ("1 ", 0), ("\u0663", 0)],
)
def test_hidden_number_is_nothing_else(text: str, number: int) -> None:
    assert parse_hidden_number(text) == number


def test_message_shows_typed_text_with_invisible_characters_escaped() -> None:
    with pytest.raises(NotWhole) as refused:
        parse_whole_number("1\u200b000\x00" + "9" * 90, least=0, most=2_000_000_000)
    shown = f"“1<U+200B>000<U+0000>{'9' * 34}…”"
    assert str(refused.value) == f"{shown} is not a whole number from 0 to 2,000,000,000. Use only the digits 0 to 9."


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0"),
        (999, "999"),
        (1_000, "1 thousand"),
        (45_001, "45 thousand 1"),
        (123_456_781, "123 million 456 thousand 781"),
        (2_000_000_000, "2 billion"),
        (-1_500, "−1 thousand 500"),
    ],
)
def test_number_in_words_of_thousands(number: int, words: str) -> None:
    assert in_thousands(number) == words


class AnyForm(forms.Form):
    units = QuantityField()
    difference = QuantityField(signed=True)
    days = WholeNumberField(max_value=30, required=False)


def test_fields_take_digits_and_say_what_was_typed() -> None:
    taken = AnyForm({"units": "5", "difference": "−5", "days": ""})
    assert taken.is_valid()
    assert taken.cleaned_data == {"units": 5, "difference": -5, "days": None}
    refused = AnyForm({"units": "1.000", "difference": "1000001", "days": "31"})
    assert refused.errors == {
        "units": ["“1.000” is not a whole number from 1 to 1,000,000. Use only the digits 0 to 9."],
        "difference": ["“1000001” is not a whole number from -1,000,000 to 1,000,000."],
        "days": ["“31” is not a whole number from 0 to 30."],
    }
    assert "1.000" in str(refused["units"])  # What was typed stays in the field.
    assert 'type="text"' in str(refused["units"])
    assert 'inputmode="numeric"' in str(refused["units"])
    assert 'inputmode="text"' in str(refused["difference"])


def test_required_number_that_is_blank_is_asked_for() -> None:
    assert AnyForm({"units": " ", "difference": "1"}).errors["units"] == ["This field is required."]
