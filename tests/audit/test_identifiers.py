"""Ids as texts, and the times in them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from audit.identifiers import NIL, first_id_at, parse_copied_id, parse_public_id, parse_uuid, public_id

ID = UUID("01920000-0000-7000-8000-00000000000a")


def test_public_id_is_read_back() -> None:
    assert parse_public_id("res", public_id("res", ID)) == ID


@pytest.mark.parametrize("text", ["", "res", "res-", f"adj-{ID}", f"{ID}", f"res-{ID.hex}", f" res-{ID}", "res-\0"])
def test_public_id_is_of_its_prefix_and_written_as_this_service_does(text: str) -> None:
    assert parse_public_id("res", text) is None


@pytest.mark.parametrize("text", [f"res-{ID}", f"{ID}", f" cnt-{ID} ", f"{ID}".upper()])
def test_copied_id_may_be_bare_or_of_any_prefix(text: str) -> None:
    assert parse_copied_id(text) == ID


@pytest.mark.parametrize("text", ["", "res-", f"{ID.hex}", f"{ID} {ID}", f"12-{ID}"])
def test_an_incomplete_id_is_not_recognised(text: str) -> None:
    assert parse_copied_id(text) is None


def test_uuid_is_read_as_python_reads_it() -> None:
    assert parse_uuid(f"{ID}") == parse_uuid(ID.hex) == ID
    assert parse_uuid("") is parse_uuid("7") is parse_uuid("\0") is None


def test_ids_made_from_a_moment_on_are_not_below_its_first() -> None:
    before = datetime.now(UTC)
    made = uuid7()
    assert first_id_at(before) < made < first_id_at(before + timedelta(days=365))
    assert first_id_at(datetime(1960, 1, 1, tzinfo=UTC)) == NIL
