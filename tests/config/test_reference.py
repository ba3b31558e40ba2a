"""The reference pages are complete: calls with their roles, settings, commands and options."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
from django.core.management import get_commands, load_command_class
from django.urls import URLPattern, URLResolver, get_resolver
from markdown_it import MarkdownIt

from audit.roles import Role, roles_with
from config.environment import PROCESS

ROOT: Final = Path(__file__).resolve().parents[2]
REFERENCE: Final = ROOT / "docs" / "reference"
OUR_APPS: Final = {"audit", "inventory", "reservations", "config"}
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


def page(name: str) -> str:
    """The text of a page of reference."""
    return (REFERENCE / f"{name}.md").read_text("utf-8")


def rows_of(text: str) -> list[list[str]]:
    """The cells of all rows of a page's tables, heads left out."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    rows: list[list[str]] = []
    for before, token in pairwise(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif before.type == "td_open":
            rows[-1].append(token.content)
    return [row for row in rows if row]


def code_of(cell: str) -> str:
    """The cell's code span, which is all of it."""
    found = re.fullmatch(r"`([^`]+)`", cell)
    assert found, cell
    return found[1]


# --- calls -----------------------------------------------------------------------------------------------------------


def routes(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every path of the current API, with its parameters as `{}`, and its view."""
    for entry in resolver.url_patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry, path)
        elif isinstance(entry, URLPattern) and path.startswith("api/v1/"):
            view: Any = entry.callback
            yield "/" + re.sub(r"<[\w-]+:\w+>", "{}", path.removeprefix("api/v1/")), view.view_class


def test_page_of_the_api_lists_every_call_with_the_roles_that_may_send_it() -> None:
    listed = {}
    for call, does, roles in (row for row in rows_of(page("api")) if len(row) == 3):
        method, path = code_of(call).split()
        assert len(does) > 10, call
        listed[method, re.sub(r"{\w+}", "{}", path)] = roles
    expected = {}
    for path, view in routes(get_resolver()):
        for method in METHODS:
            if hasattr(view, method.lower()):
                allowed = roles_with(view.allowed[method])
                every = allowed == frozenset(Role)
                expected[method, path] = "any" if every else ", ".join(role for role in Role.values if role in allowed)
    assert listed == expected


def test_page_of_the_api_describes_every_role() -> None:
    section = page("api").split("\n## Roles\n")[1].split("\n## ")[0]
    assert [code_of(role) for role, _ in rows_of(section)] == Role.values


# --- settings --------------------------------------------------------------------------------------------------------


def test_page_of_the_configuration_lists_every_variable_and_says_enough_of_it() -> None:
    rows = [row for row in rows_of(page("configuration")) if len(row) == 6]
    assert [code_of(row[0].removesuffix(" †")) for row in rows] == list(PROCESS.variables)
    for name, meaning, *others in rows:
        assert len(meaning) > 10, name
        assert all(others), name


def test_each_variable_is_declared_once() -> None:
    declared = [variable.name for section in PROCESS.sections for variable in section.variables]
    assert len(declared) == len(set(declared))


def test_environment_is_read_in_one_module() -> None:
    read = re.compile(r"os\.environ(?!\.setdefault|\[[^]]+\] = )|os\.getenv")
    # The demonstration and the embedded servers are started, and start others, before there are settings.
    others = {"config/environment.py", "config/startup.py", "config/demo.py"}
    for package in ("audit", "config", "inventory", "reservations"):
        for path in (ROOT / package).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            if name not in others and not name.startswith("config/embedded/"):
                assert not read.search(path.read_text("utf-8")), path


# --- commands --------------------------------------------------------------------------------------------------------


def our_commands() -> list[str]:
    return sorted(name for name, app in get_commands().items() if app in OUR_APPS)


def section_of(command: str) -> str:
    return page("commands").split(f"\n## {command}\n")[1].split("\n## ")[0]


def test_page_of_the_commands_lists_every_command_and_target() -> None:
    headings = re.findall(r"^## (\w+)$", page("commands"), re.MULTILINE)
    assert sorted(headings) == our_commands()
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert {code_of(row[0]) for row in rows_of(section_of("Make targets"))} == {
        f"make {target}" for target in targets if target != "help"
    }


@pytest.mark.parametrize("command", our_commands())
def test_options_are_those_that_help_names(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        load_command_class(get_commands()[command], command).run_from_argv(["manage.py", command, "--help"])
    assert ended.value.code == 0
    own = re.split(r"^  --version\b", capsys.readouterr().out, maxsplit=1, flags=re.MULTILINE)[0]
    said = re.findall(r"^  (-?-?\w[\w-]*(?: [A-Z|=]+)?)(?:  |$)", own, re.MULTILINE)
    assert [code_of(option).replace(r"\|", "|") for option, _ in rows_of(section_of(command))] == said


# --- terms -----------------------------------------------------------------------------------------------------------


def test_each_term_of_the_glossary_is_explained_once_in_two_sentences_at_most() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    entries = re.findall(r"^- \*\*(.+?)\*\*(?: \(verb\))?: (.+?)(?=\n- |\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    assert len(entries) == text.count("\n- ")
    terms = [term for term, _ in entries]
    assert len(terms) == len(set(terms))
    for term, meaning in entries:
        assert meaning.endswith((".", ".\n")), term
        assert len(re.findall(r"\.(?:\s|$)", meaning)) <= 2, term
