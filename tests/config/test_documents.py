"""`make check` finds broken links and citations, and generated documents that are out of date."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from config.documents import __main__ as documents
from config.documents.defects import text_files
from config.documents.generated import GENERATED, Generated, check_generated, write_generated

# Composed from parts, so that the check doesn't find these deliberate mistakes in this file.
DOCS: Final = "docs"
TESTS: Final = "tests"
CODE: Final = "inventory"
RULE: Final = "rule"
ADR: Final = "ADR"
API: Final = "api"
TEXT: Final = "text"
ARCHITECTURE: Final = "architecture"
DECISION: Final = "decision"
RULES: Final = "# Rules\n\n## 1. One\n\n## 8. Lock order\n"

Repository = Callable[..., list[str]]


@pytest.fixture
def defects(tmp_path: Path) -> Repository:
    """Check a repository with rules, one ADR and these files (path and text). Returns the findings."""

    def check(**files: str) -> list[str]:
        files = {
            f"{DOCS}/explanation/rules.md": RULES,
            f"{TESTS}/test_code.py": "def test_this() -> None: ...\n",
            f"{DOCS}/explanation/adr/0001-know-the-end.md": "# 0001: know the end\n\n## What follows\n",
        } | files
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return [str(defect) for defect in documents.defects(tmp_path)]

    return check


def test_what_leads_somewhere_is_let_through(defects: Repository) -> None:
    page = (
        "# Top `x`\n\n[a](docs/explanation/rules.md#8-lock-order) [b](#top-x) [c](https://example.com/#d) [e](docs/)\n"
    )
    code = f"""
# {DOCS}/explanation/rules.md, {RULE} 8; {DOCS}/explanation/rules.md#1-one; {DOCS}/explanation/adr/0001;
# {DOCS}/explanation/adr/0001-know-the-end.md#what-follows; {DOCS}/reference/api.md; {ADR} 0001; {DOCS}/explanation/;
# {RULE}s 1 and
# 8; {TESTS}/test_code.py::test_this; {TESTS}/test_code.py; /api/{DOCS}/nothing; https://example.com/{DOCS}/nothing
"""
    assert defects(**{"README.md": page, "code.py": code, f"{DOCS}/reference/api.md": f"[here]({API}.md)\n"}) == []


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("[a](gone.md)", "gone.md leads to no file"),
        ("![a](gone.png)", "gone.png leads to no file"),
        ('<img src="gone.svg" alt="">', "gone.svg leads to no file"),
        ("[a](#gone)", "#gone leads to no heading"),
        (f"[a]({DOCS}/explanation/rules.md#8-gone)", f"{DOCS}/explanation/rules.md#8-gone leads to no heading"),
        ("[a](/docs/explanation/rules.md)", "/docs/explanation/rules.md is not relative to this page"),
        ("[a](../gone.md)", "../gone.md leads out of the repository"),
    ],
)
def test_link_whose_target_is_missing_is_found_with_its_line(defects: Repository, link: str, message: str) -> None:
    assert f"README.md:4: {message}" in defects(**{"README.md": f"# Top\n\nSome text,\nthen {link} and more.\n"})
    assert f"README.md:5: {message}" in defects(**{"README.md": f"# Top\n\n| a |\n| - |\n| {link} |\n"})


def test_repeated_headings_have_anchors_of_their_own(defects: Repository) -> None:
    page = "# A\n\n## B, c & `d`\n\n## B, c & `d`\n\n[x](#b-c--d) [y](#b-c--d-1) [z](#b-c--d-2)\n"
    assert defects(**{"README.md": page}) == ["README.md:7: #b-c--d-2 leads to no heading"]


@pytest.mark.parametrize("file", ["code.py", "page.html", "pyproject.toml", "script.js", "README.md", "Makefile"])
@pytest.mark.parametrize(
    ("citation", "message"),
    [
        (f"{DOCS}/gone.md", f"{DOCS}/gone.md is no file"),
        (f"{DOCS}/explanation/rules.md#gone", f"{DOCS}/explanation/rules.md has no heading #gone"),
        (f"{DOCS}/explanation/adr/0002", f"{DOCS}/explanation/adr/0002 is no file"),
        (f"{DOCS}/explanation/rules.md, {RULE} 2", f"{DOCS}/explanation/rules.md has no {RULE} 2"),
        (f"{RULE}s 8 and 9", f"{DOCS}/explanation/rules.md has no {RULE} 9"),
        (f"{ADR} 0002", f"{DOCS}/explanation/adr has no {ADR} 0002"),
        (f"{TESTS}/gone.py", f"{TESTS}/gone.py is no file"),
        (f"{CODE}/services/gone.py", f"{CODE}/services/gone.py is no file"),
        (f"{TESTS}/test_code.py::test_gone", f"{TESTS}/test_code.py has no test_gone"),
        (f"{API}.md, Conventions", f"{API}.md is not in the repository"),
        (f"requirement {TEXT} 002", f"requirement {TEXT} is not in the repository"),
        (f"{ARCHITECTURE} 8", f"{ARCHITECTURE} 8 is a number in no document"),
        (f"{ARCHITECTURE}, {DECISION} 10", f"{DECISION} 10 is a number in no document"),
    ],
)
def test_citation_whose_target_is_missing_is_found_in_every_kind_of_file(
    defects: Repository, file: str, citation: str, message: str
) -> None:
    assert defects(**{file: f"\nsee\n  ({citation})\n"}) == [f"{file}:3: {message}"]


def test_citation_that_goes_on_in_the_next_line_is_found(defects: Repository) -> None:
    assert defects(**{"code.py": f"# by {RULE}\n# 2, and {ARCHITECTURE}\n# 3\n"}) == [
        f"code.py:1: {DOCS}/explanation/rules.md has no {RULE} 2",
        f"code.py:2: {ARCHITECTURE} 3 is a number in no document",
    ]


def test_all_that_is_wrong_is_found_at_once(defects: Repository) -> None:
    found = defects(**{"README.md": "[a](gone.md) [b](#gone)\n", "code.py": f"# {DOCS}/gone.md {ADR} 0009\n"})
    assert len(found) == 4


def test_generated_folders_and_hidden_ones_are_not_looked_at(tmp_path: Path) -> None:
    for name in ("code.py", "var/code.py", ".venv/code.py", "build/code.py", "app/templates/page.html", "picture.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in text_files(tmp_path)] == [
        "code.py",
        "app/templates/page.html",
    ]


def test_generated_document_that_differs_is_found_until_it_is_written(tmp_path: Path) -> None:
    made = [Generated("a/made.md", lambda: "one\ntwo\n"), Generated("a/other.md", lambda: "three\n")]
    message = "is not what the code says; make fmt writes it"
    assert [str(defect) for defect in check_generated(tmp_path, made)] == [
        f"a/made.md:1: {message}",
        f"a/other.md:1: {message}",
    ]
    write_generated(tmp_path, made)
    assert list(check_generated(tmp_path, made)) == []
    (tmp_path / "a" / "made.md").write_text("one\n", encoding="utf-8")
    assert [str(defect) for defect in check_generated(tmp_path, made)] == [f"a/made.md:2: {message}"]


def test_every_generated_document_is_in_the_repository_and_up_to_date() -> None:
    assert all((documents.ROOT / document.path).is_file() for document in GENERATED)
    assert list(check_generated(documents.ROOT)) == []


def test_check_fails_and_prints_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(documents, "ROOT", tmp_path)
    monkeypatch.setattr("config.documents.generated.GENERATED", ())
    (tmp_path / "README.md").write_text("[a](gone.md)\n", encoding="utf-8")
    assert documents.main(["--check"]) == 1
    assert "README.md:1: gone.md leads to no file\n" in capsys.readouterr().out


def test_repository_has_no_link_and_no_citation_that_leads_nowhere() -> None:
    assert [str(defect) for defect in documents.defects(documents.ROOT)] == []
