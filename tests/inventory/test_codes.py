"""When two codes of products are the same code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.codes import barcode_key, gtin, sku_key, sku_keys


@pytest.mark.parametrize(
    "same", [("F12", "f12"), ("F12", " F12\u00a0"), ("ÄRMEL", "a\u0308rmel"), ("F12", "F\u200b12")]
)
def test_a_sku_is_compared_without_regard_to_case_and_to_what_nobody_sees(same: tuple[str, str]) -> None:
    assert sku_key(same[0]) == sku_key(same[1])
    assert barcode_key(same[0]) == barcode_key(same[1])


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("036000291452", "00036000291452"),
        ("0036000291452", "00036000291452"),
        ("4006381333931", "04006381333931"),
        ("14006381333938", "14006381333938"),
        ("96385074", "00000096385074"),
        ("4006381333932", ""),  # a wrong check digit
        ("00036000291", ""),  # eleven digits
        ("９６３８５０７４", ""),
        ("F12", ""),
        ("", ""),
    ],
)
def test_a_gtin_has_14_digits_and_a_valid_check_digit(code: str, number: str) -> None:
    assert gtin(code) == number


def test_a_upc_and_its_ean_are_one_code() -> None:
    assert barcode_key("036000291452") == barcode_key("0036000291452") == barcode_key("00036000291452")
    assert "036000291452" in sku_keys("0036000291452")
    assert sku_keys("96385074") == ["00000096385074", "0000096385074", "000096385074", "96385074"]
    assert sku_keys("4006381333931") == ["04006381333931", "4006381333931"]
    assert sku_keys("F12") == ["f12"]


@given(st.integers(0, 10**13 - 1), st.integers(0, 9))
def test_zeros_in_front_make_no_other_number(number: int, wrong: int) -> None:
    digits = f"{number:013d}"
    (check,) = [last for last in range(10) if gtin(f"{digits}{last}")]
    shorter = [f"{number:0{length}d}{check}" for length in (7, 11, 12, 13) if number < 10**length]
    assert {gtin(each) for each in shorter} == {f"{digits}{check}"}
    assert all(sku_key(each) in sku_keys(other) for each in shorter for other in shorter)
    assert wrong == check or not gtin(f"{digits}{wrong}")


@given(st.text())
def test_the_key_of_a_key_is_itself(code: str) -> None:
    assert barcode_key(barcode_key(code)) == barcode_key(code)
