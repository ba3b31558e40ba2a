"""Citations in code and prose, such as `docs/explanation/rules.md, rule 8`: their targets must be in the repository.

A citation is one of:

- a path below docs/ from the root of the repository, with or without an anchor; the path of a decision may end after
  its number, as in `docs/explanation/adr/0001`;
- a rule by its number, which means the page of rules wherever it is written;
- a decision by ADR and its number;
- a module or template by its path from the root, optionally with two colons and the name of a function or class.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from config.documents.defects import Defect, line_of
from config.documents.links import anchors_of

RULES: Final = Path("docs/explanation/rules.md")
DECISIONS: Final = Path("docs/explanation/adr")
_PATH: Final = re.compile(r"(?<![\w/.\-])docs/(?:[\w.\-]+/)*(?:[\w\-]+(?:\.[a-z]+)?)?(?:#([\w\-]+))?")
_RULE: Final = re.compile(r"\b[Rr]ules?[ \n#]+(\d+(?:(?:, | and | to )\d+)*)\b")
_ADR: Final = re.compile(r"\bADR[ \n#]+(\d{4})\b")
_SOURCE: Final = re.compile(
    r"(?<![\w/.\-])(?:audit|benchmarks|config|deploy|inventory|reservations|templates|tests)"
    r"/(?:[\w\-]+/)*[\w\-]+\.(?:css|html|json|js|lua|py)(?:::(\w+))?"
)
_RULE_HEADING: Final = re.compile(r"^## (\d+)\. ", re.MULTILINE)
_ABSENT: Final = (
    (re.compile(r"(?<!reference/)\bapi\.md\b"), "is not in the repository"),
    (re.compile(r"\brequirement[ \n#]+texts?\b", re.IGNORECASE), "is not in the repository"),
    (re.compile(r"\b(?:architecture|decision),?[ \n#]+\d+", re.IGNORECASE), "is a number in no document"),
)
"""Patterns of citations of texts outside the repository, and the message about each."""
_Fault = tuple[int, str]
"""The offset of a citation in the text, and the message about it."""


def check_citations(root: Path, file: Path) -> Iterator[Defect]:
    """The defects of the citations in a text file."""
    text = file.read_text(encoding="utf-8")
    where = file.relative_to(root).as_posix()
    is_beside_api = file.parent == root / "docs" / "reference"  # Pages in this folder cite it without the folder.
    absent = _absent(text, _ABSENT[1:] if is_beside_api else _ABSENT)
    faults = chain(_wrong_paths(root, text), _wrong_sources(root, text), _wrong_numbers(root, text), absent)
    for offset, message in faults:
        yield Defect(where, line_of(text, offset), message)


def _wrong_paths(root: Path, text: str) -> Iterator[_Fault]:
    for found in _PATH.finditer(text):
        if message := _fault_of_path(root, found):
            yield found.start(), message


def _wrong_sources(root: Path, text: str) -> Iterator[_Fault]:
    for found in _SOURCE.finditer(text):
        path, _, name = found[0].partition("::")
        if not (root / path).is_file():
            yield found.start(), f"{path} is no file"
        elif name and not re.search(rf"\b(?:def|class) {name}\b", (root / path).read_text(encoding="utf-8")):
            yield found.start(), f"{path} has no {name}"


def _wrong_numbers(root: Path, text: str) -> Iterator[_Fault]:
    rules = rule_numbers(root)
    for found in _RULE.finditer(text):
        for number in re.findall(r"\d+", found[1]):
            if number not in rules:
                yield found.start(), f"{RULES} has no rule {number}"
    for found in _ADR.finditer(text):
        if not any((root / DECISIONS).glob(f"{found[1]}-*.md")):
            yield found.start(), f"{DECISIONS} has no ADR {found[1]}"


def _absent(text: str, patterns: Iterable[tuple[re.Pattern[str], str]]) -> Iterator[_Fault]:
    for pattern, message in patterns:
        for found in pattern.finditer(text):
            yield found.start(), f"{' '.join(found[0].replace('#', ' ').split())} {message}"


def _fault_of_path(root: Path, citation: re.Match[str]) -> str | None:
    path, _, anchor = citation[0].partition("#")
    target = root / path
    if not target.exists():
        is_decision = target.parent == root / DECISIONS and any(target.parent.glob(f"{target.name}-*.md"))
        return None if is_decision else f"{path} is no file"
    if anchor and anchor not in anchors_of(target):
        return f"{path} has no heading #{anchor}"
    return None


def rule_numbers(root: Path) -> frozenset[str]:
    """The numbers of the rules, read from their headings."""
    page = root / RULES
    return frozenset(_RULE_HEADING.findall(page.read_text(encoding="utf-8"))) if page.exists() else frozenset()
