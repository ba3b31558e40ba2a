"""Decimals of request bodies fit the database, whatever is sent."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.api.decimals import Money, Share
from audit.api.scalars import decode_scalar

TEXTS = st.text("0123456789.eE+-", max_size=60) | st.decimals().map(str) | st.floats().map(str)
FINITE = st.floats(allow_nan=False, allow_infinity=False)  # JSON has no others: msgspec writes null for them.


class Both(msgspec.Struct):
    money: Money | None = None
    share: Share | None = None


def decoded(field: str, value: Any) -> Decimal:
    return getattr(msgspec.json.decode(msgspec.json.encode({field: value}), type=Both, dec_hook=decode_scalar), field)


@pytest.mark.parametrize(
    ("value", "amount"),
    [("1.5", "1.50"), (1.5, "1.50"), (3, "3.00"), ("1E3", "1000.00"), (".5", "0.50"), ("-0", "0.00"), ("0e9", "0.00")],
)
def test_an_amount_has_two_decimals_however_it_is_written(value: Any, amount: str) -> None:
    assert str(decoded("money", value)) == amount


def test_the_bounds_belong_to_the_range() -> None:
    assert decoded("money", "9999999999.99") == Decimal("9999999999.99")
    assert (decoded("share", 0), decoded("share", 1)) == (0, 1)
    for beyond in ("10000000000", "9999999999.991"):
        with pytest.raises(msgspec.ValidationError, match=r"\$\.money"):
            decoded("money", beyond)


@given(st.sampled_from([("money", 12, 2), ("share", 5, 4)]), TEXTS | st.integers() | FINITE)
def test_what_is_accepted_fits_its_column(kind: tuple[str, int, int], value: Any) -> None:
    field, digits, places = kind
    try:
        amount = decoded(field, value)
    except msgspec.ValidationError:
        return
    sign, written, exponent = amount.as_tuple()
    assert (sign, exponent) == (0, -places)
    assert len(written) <= digits
