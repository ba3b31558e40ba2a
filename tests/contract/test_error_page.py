"""The page of errors, the OpenAPI document and the one table of errors name the same codes."""

import re
from pathlib import Path
from typing import Final

from config.problems import DOMAIN_STATUS, codes
from tests.contract.operations import documented_codes, operations

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "reference" / "errors.md"
OF_THE_CONSOLE: Final = {
    "client_name_taken",
    "document_reversed",
    "draft_changed",
    "draft_posted",
    "frozen",
    "reversal_is_final",
    "transfer_not_received",
}
"""Codes of errors that no call of the API raises."""
_ROW: Final = re.compile(r"^\| (\d{3}) \| `([a-z_]+)` \| ([^|]+) \|", re.MULTILINE)


def rows() -> list[tuple[int, str, str]]:
    """Status, code and meaning of each row of the page."""
    return [(int(status), code, meaning) for status, code, meaning in _ROW.findall(PAGE.read_text(encoding="utf-8"))]


def test_page_lists_every_code_with_its_status_once_and_says_when_it_is_met() -> None:
    assert sorted((status, code) for status, code, _ in rows()) == sorted((s, code) for code, s in codes().items())
    assert all(len(meaning) > 10 for _, _, meaning in rows())


def test_page_is_in_the_order_of_statuses() -> None:
    statuses = [status for status, _, _ in rows()]
    assert statuses == sorted(statuses)


def test_codes_are_those_of_the_table_that_callers_meet() -> None:
    raised = {kind.code for kind in DOMAIN_STATUS} - OF_THE_CONSOLE
    assert raised <= codes().keys()
    assert OF_THE_CONSOLE.isdisjoint(codes())


def test_the_page_of_the_api_says_what_each_status_means() -> None:
    rows = re.findall(r"^\| (\d{3}) \|", PAGE.with_stem("api").read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(status) for status in rows] == sorted(set(codes().values()))


def test_openapi_document_names_every_code_that_an_operation_can_answer() -> None:
    named = {code for operation in operations().values() for code in documented_codes(operation)}
    assert named == codes().keys() - {"method_not_allowed", "misdirected"}
