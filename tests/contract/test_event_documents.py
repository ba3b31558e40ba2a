"""Every event is documented, and nothing is published that isn't."""

import ast
import json
from pathlib import Path

import jsonschema
import pytest
from django.conf import settings

from audit.events import Event
from config.documents.events import FOLDER, PAGE, example_of, schema_of
from tests.contract.payloads import EVENTS, assert_is_of_struct

PACKAGES = ("audit", "inventory", "reservations")
each_event = pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)


def test_the_golden_payloads_are_of_all_events() -> None:
    source = ast.parse(Path(__file__).with_name("test_events.py").read_text(encoding="utf-8"))
    checked = {
        call.args[0].value
        for call in ast.walk(source)
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "assert_written"
        if isinstance(call.args[0], ast.Constant)
    }
    assert checked == EVENTS.keys()


@each_event
def test_an_event_is_documented_with_an_example_that_is_valid(event: type[Event]) -> None:
    section = (settings.BASE_DIR / PAGE).read_text(encoding="utf-8").split(f"\n## {event.TYPE}\n")[1].split("\n## ")[0]
    printed = json.loads(section.split("```json")[1].split("```")[0])
    assert printed == example_of(event)
    assert_is_of_struct(printed, event)
    assert all(f"`{name}`" in section for name in schema_of(event)["properties"].keys() - {"eventId", "timestamp"})


@each_event
def test_every_field_has_a_meaning(event: type[Event]) -> None:
    schema = schema_of(event)
    jsonschema.Draft202012Validator.check_schema(schema)
    structs = [schema, *schema.get("$defs", {}).values()]
    assert all(field["description"].endswith(".") for struct in structs for field in struct["properties"].values())


def test_every_event_has_a_schema_and_no_schema_is_of_an_event_that_is_gone() -> None:
    found = {path.name for path in (settings.BASE_DIR / FOLDER).iterdir()}
    assert found == {f"{name}.schema.json" for name in EVENTS}


# --- nothing else is published ---------------------------------------------------------------------------------------


def _modules() -> dict[str, ast.Module]:
    """The code of the packages that publish, by path."""
    paths = (
        path
        for package in PACKAGES
        for path in (settings.BASE_DIR / package).rglob("*.py")
        if "migrations" not in path.parts
    )
    return {str(path): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def test_every_event_is_defined_in_a_packages_events_and_registered() -> None:
    def below(event: type[Event]) -> set[type[Event]]:
        return {event}.union(*map(below, event.__subclasses__()))

    made = {event for event in below(Event) if event.__module__.split(".")[0] in PACKAGES}
    assert {event.__module__ for event in made} == {"audit.events", "inventory.events", "reservations.events"}
    ours = {event for event in made if event.__module__ != "audit.events"}
    concrete = {event for event in ours if not any(issubclass(other, event) for other in ours - {event})}
    assert concrete == set(EVENTS.values())


def test_no_module_names_an_event_by_a_string_and_each_is_published_somewhere() -> None:
    named: set[str] = set()
    for path, module in _modules().items():
        strings = {node.value for node in ast.walk(module) if isinstance(node, ast.Constant)}
        assert not strings & EVENTS.keys(), path
        if Path(path).name != "events.py":
            named |= {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
    assert named >= EVENTS.keys()


def test_publishing_alone_writes_the_outbox() -> None:
    writers = [
        path
        for path, module in _modules().items()
        for node in ast.walk(module)
        if isinstance(node, ast.Constant) and "INSERT INTO audit_outboxevent" in str(node.value)
    ]
    assert {Path(path).name for path in writers} == {"publishing.py"}
