"""The texts of the console: one name for each thing, and no wording that was replaced."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client
from django.utils.html import strip_tags

from tests.staff import browser_of, make_staff

ROOT = Path(__file__).parents[2]
_CALLS = re.compile(r"_|n?p?gettext(_lazy|_noop)?")
_IN_TEMPLATES = re.compile(
    r'{%\s*trans(?:late)?\s+"([^"]*)"|{%\s*blocktrans(?:late)?\b[^%]*%}(.*?){%\s*endblocktrans(?:late)?\s*%}', re.DOTALL
)

REPLACED = (
    r"\bfits?\b(?! into)",
    r"\btake\w* (the filters|the list) away\b|\btake away\b",
    r"\bcomes on top\b|\bwhat goes\b|\bgoes its way\b",
    r"\bcan go\b|\bheld for orders\b",
    r"\bon the paper\b",
    r"\blook(s|ed)? (it |them )?over\b",
    r"\btogether$",
    r"\btakes? care\b|\btaken care\b",
    r"\bstands? against\b",
    r"\banew\b",
    r"\bleave at once\b|\bcount there\b",
    r"\bgood for nothing\b",
    r"\bnot yours\b|\byours to\b",
    r"\btick none for all\b",
    r"\bgives? way\b|\bgave way\b",
    r"\bmoment of its counting\b",
    r"\bcount again from\b|\bto count again\b",
    r"\bcounted for long\b|\bcounted for so many\b",
    r"\bas it is written\b",
    r"\btime is up\b|\btime was up\b",
    r"\bkept for telling\b|\bbehind by\b|\btold\b",
    r"\bmost (units|holds) a customer\b|\bmost to keep\b",
    r"\blog in with\b|^user name$",
    r"\bwhoever\b|\bwhomever\b|\bfor who\b|\bfor ever\b",
    r"\bby itself\b|\bby themselves\b",
    r"\bput right\b",
    r"^kind$|^note$|^sent$|^given back$|^trail$",
    r"\bholds?$|^(active |ended |broken |with )holds\b|\bholds anything\b",
    r"\bshortage incident|\boutbox event|\blow-stock alert",
    r"\bany more\b|\bbefore anything does\b",
    r"\breads? like that\b|\bsays? the same as\b",
    r"\bnothing ticked\b|\bnobody holds\b",
)
"""Patterns of wordings that nothing in the console says any more."""


def python_texts(path: Path) -> Iterator[str]:
    """The texts in a module that can be translated."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and _CALLS.fullmatch(getattr(node.func, "id", "")):
            for text in node.args:
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    yield text.value


def template_texts(path: Path) -> Iterator[str]:
    """The texts in a template that can be translated."""
    for one, block in _IN_TEMPLATES.findall(path.read_text(encoding="utf-8")):
        yield one or block


def all_texts() -> Iterator[tuple[Path, str]]:
    """Each text that can be translated, with its file."""
    for package in ("audit", "config", "inventory", "reservations"):
        for path in (ROOT / package).rglob("*.py"):
            yield from ((path, text) for text in python_texts(path))
    for path in (ROOT / "templates").rglob("*.html"):
        yield from ((path, text) for text in template_texts(path))


def test_replaced_wordings_do_not_come_back() -> None:
    replaced = re.compile("|".join(REPLACED), re.IGNORECASE)
    texts = list(all_texts())
    assert len(texts) > 1000
    assert [f"{path.relative_to(ROOT)}: {text}" for path, text in texts if replaced.search(text.strip())] == []


@pytest.mark.parametrize(
    ("said", "is_found"),
    [
        ("Nothing fits", True),
        ("Take the filters away", True),
        ("2 reservations gave way", True),
        ("Kind", True),
        ("Broken holds", True),
        ("Clear filters", False),
        ("This kind of file", False),
    ],
)
def test_patterns_find_whole_words(said: str, is_found: bool) -> None:
    assert bool(re.search("|".join(REPLACED), said, re.IGNORECASE)) is is_found


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("inventory/movement/?type__exact=RECEIPT", "Receiving"),
        ("inventory/movement/", "Movements"),
        ("reservations/shortageincident/?status__exact=OPEN", "Incidents"),
        ("reservations/shortageincident/", "Incidents"),
        ("inventory/lowstockalert/", "Alerts"),
        ("inventory/reconciliationfinding/", "Reconciliation"),
        ("audit/auditentry/", "Audit"),
        ("audit/outboxevent/", "Events"),
        ("auth/user/", "People"),
    ],
)
def test_list_is_named_as_in_the_menu(path: str, name: str) -> None:
    browser: Client = browser_of(make_staff("administrator"))
    page = browser.get(f"/admin/{path}").content.decode()
    heading = re.search(r"<h1.*?</h1>", page, re.DOTALL)
    assert heading is not None
    assert strip_tags(heading[0]).split()[0] == name
    assert f"<title> {name} | Stockroom</title>" in page
    assert re.search(rf"<nav.*>\s*{name}\s*<.*</nav>|sidebar.*>\s*{name}\s*<", page, re.DOTALL)
