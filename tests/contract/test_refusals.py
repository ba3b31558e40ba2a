"""Each operation documents the errors that its services raise, as the code has them."""

from pathlib import Path
from typing import Final

import pytest

from audit.errors import DomainError
from tests.contract.operations import documented_codes, operations
from tests.contract.raising import Code, error_of, read_code

_OF_EVENTS: Final = "what an event of an order meets is an outcome in the answer, which is 202"
_BOTH_ENDS: Final = "one batch releases and consumes: only consuming sells and re-acquires"
_SELLS: Final = [
    "insufficient_stock",
    "listing_expired",
    "product_frozen",
    "product_inactive",
    "reservation_expired",
    "reservation_released",
    "reserved_for_another_order",
    "store_frozen",
    "warehouse_frozen",
    "warehouse_inactive",
]
IMPOSSIBLE: Final[dict[str, dict[str, str]]] = {
    "release": dict.fromkeys(_SELLS, _BOTH_ENDS),
    "deleteCart": dict.fromkeys(_SELLS, _BOTH_ENDS),
    "adjust": {
        "hold_not_in_the_way": "only a count names the reservations to break",
        "reservation_not_found": "only a count names the reservations to break",
        "product_frozen": "a freeze stops what people ship by hand, not programs",
        "warehouse_frozen": "a freeze stops what people ship by hand, not programs",
    },
    "redirectTransfer": {"insufficient_stock": "the units are put back at their source before they leave it again"},
    "sendTransfer": {"draft_changed": "the API doesn't say which draft it saw; the console does"},
    "receiveEvents": dict.fromkeys(
        [
            *_SELLS,
            "reservation_consumed",
            "sku_taken",
            "timeout_too_long",
            "unknown_product",
            "unknown_store",
            "unknown_warehouse",
            "version_conflict",
            "warehouse_not_in_store",
        ],
        _OF_EVENTS,
    ),
}
"""What reading the code finds in too many places: the code by operation, and why it can't be answered."""


@pytest.fixture(scope="module")
def code() -> Code:
    return read_code()


def test_each_operation_documents_what_its_services_raise_and_nothing_is_excused_without_need(code: Code) -> None:
    wrong = {}
    for operation in operations().values():
        raised = {error_of(name).code: f"{name} in {where}" for name, where in code.raised(operation.view).items()}
        missing = {named: where for named, where in raised.items() if named not in documented_codes(operation)}
        excused = IMPOSSIBLE.get(operation.id, {})
        found = {named: where for named, where in missing.items() if named not in excused}
        found |= dict.fromkeys(excused.keys() - missing, "is excused, but documented or not raised")
        if found:
            wrong[operation.id] = found
    assert wrong == {}


SOURCES: Final = {
    "audit.errors": "class DomainError(Exception): ...\nclass Away(DomainError): ...\nclass Gone(Away): ...",
    "inventory.direct": """
from audit.errors import Gone
from audit import errors
def raises(): raise Gone("gone")
def raises_by_module(): raise errors.Gone.at("/x", "gone")
def calls(): return raises()
def hands_on(): return sorted([], key=raises)
def catches():
    try: raises()
    except errors.Away: return None
def catches_another():
    try: raises()
    except ValueError: return None
def raises_again():
    try: raises()
    except Gone:
        raise
def keeps():
    try: raises()
    except Gone as error:
        return error
def replaces():
    try: raises()
    except Gone as error:
        raise ValueError from error
def asks(error): return isinstance(error, Gone)
""",
    "inventory.classes": """
from collections.abc import Sequence
from typing import Protocol
from inventory.direct import raises
class Base:
    def work(self): self.step()
    def step(self): ...
class Heir(Base):
    def step(self): raises()
class Made:
    def __init__(self): raises()
class Port(Protocol):
    def give(self): ...
class Adapter:
    def give(self): raises()
class Holder:
    base: Base
def by_variable():
    base = Heir()
    base.work()
def by_parameter(items: Sequence[Base]):
    for item in items: item.work()
def by_field(holder: Holder): holder.base.work()
def by_making(): return Made()
def by_port(port: Port): port.give()
def made() -> Base: return Heir()
def by_result(): made().work()
""",
}


@pytest.mark.parametrize(
    ("function", "found"),
    [
        ("direct.raises", True),
        ("direct.raises_by_module", True),
        ("direct.calls", True),
        ("direct.hands_on", True),
        ("direct.catches", False),
        ("direct.catches_another", True),
        ("direct.raises_again", True),
        ("direct.keeps", True),
        ("direct.replaces", False),
        ("direct.asks", False),
        ("classes.by_variable", True),
        ("classes.by_parameter", True),
        ("classes.by_field", True),
        ("classes.by_making", True),
        ("classes.by_port", True),
        ("classes.by_result", True),
    ],
)
def test_an_error_is_found_wherever_a_service_raises_it(tmp_path: Path, function: str, found: bool) -> None:
    for name, source in SOURCES.items():
        path = (tmp_path / name.replace(".", "/")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
    assert set(Code(tmp_path).raised(f"inventory.{function}")) == ({"audit.errors.Gone"} if found else set())


def test_every_excuse_names_a_code() -> None:
    names = {kind.code for kind in _all_errors(DomainError)}
    assert {code for codes in IMPOSSIBLE.values() for code in codes} <= names


def _all_errors(kind: type[DomainError]) -> set[type[DomainError]]:
    return {kind}.union(*(_all_errors(each) for each in kind.__subclasses__()))
