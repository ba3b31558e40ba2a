"""Reads the examples of documents (fenced blocks and inline commands), and compares answers with the printed ones.

The language of a block determines how it is tested:

- ``bash``: it is run, together with the page's other ``bash`` blocks, in one shell.
- ``json``, ``text``: what the ``bash`` block before it prints, complete; ``…`` stands for what differs each time.
- ``typescript``, ``python``: a part of a program beside a guide, which a test of its own runs.
- ``yaml``, ``sql``, ``sh``: what is given to another program; only its form is checked.
- ``shell``: it can't be run in a test, as it starts or ends a service. Its programs, files and options must exist.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from markdown_it import MarkdownIt

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PAGES: Final = sorted(
    [ROOT / "README.md", ROOT / "docs" / "getting-started.md", *(ROOT / "docs" / "guides").rglob("*.md")]
)
PASSED_SECONDS: Final = 30
"""How far ``expiresInSeconds`` may have counted down since the printed answer."""

_PARSER: Final = MarkdownIt("commonmark").enable("table")
_OUTPUTS: Final = {"json", "text"}


class Untested(AssertionError):
    """A block that no test covers."""


@dataclass(frozen=True, slots=True)
class Step:
    """A ``bash`` block: its commands, and what they print as the page says."""

    line: int
    commands: str
    output: str = ""
    output_kind: str = "text"

    def difference(self, printed: str) -> str | None:
        """The difference between the page and the printed output; None if they agree."""
        if self.output_kind == "json":
            expected, got = _documents(self.output), _documents(printed)
            agree = is_same(expected, got)
        else:
            expected, got = self.output.strip(), printed.strip()
            agree = re.fullmatch(".*?".join(map(re.escape, expected.split("…"))), got, re.DOTALL) is not None
        return None if agree else f"line {self.line}: {self.commands}\nexpected {expected}\nprinted  {got}"


@dataclass(frozen=True, slots=True)
class Page:
    """The examples of one document."""

    steps: list[Step]
    named: list[str]
    """Lines of ``shell`` blocks."""
    inline: list[str]
    """Code within sentences."""


def _require_yaml(line: int, text: str) -> None:
    try:
        list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise Untested(f"line {line}: {error}") from error


def _require_statements(line: int, text: str) -> None:
    """Require statements that a superuser sends by hand, each of which ends with a semicolon."""
    statements = [each.strip() for each in text.strip().split(";")]
    if statements.pop() or not all(
        re.match("(CREATE|REVOKE|GRANT|ALTER|DROP|REASSIGN|SELECT) ", each) for each in statements
    ):
        raise Untested(f"line {line}: no statements that are known")


def _require_part(line: int, text: str) -> None:
    """Require a part of a program in a folder of docs/guides."""
    programs = (path for path in (ROOT / "docs" / "guides").glob("*/*") if path.suffix in {".py", ".ts"})
    if not any(text in program.read_text(encoding="utf-8") for program in programs):
        raise Untested(f"line {line}: no program beside a guide has these lines")


_FORMS: Final[dict[str, Callable[[int, str], None]]] = {
    "yaml": _require_yaml,
    "sql": _require_statements,
    "sh": lambda _line, _script: None,
    "typescript": _require_part,
    "python": _require_part,
}
"""Checks of blocks for other programs. Tests in tests/deploy and tests/clients run the scripts (``sh``)."""


def read(text: str) -> Page:
    """Find the examples of a Markdown text. Raises Untested for a block that no test covers."""
    page = Page([], [], [])
    may_print = False
    for token in _PARSER.parse(text):
        line = token.map[0] + 1 if token.map else 1
        if token.type == "code_block" or (token.type == "html_block" and "<pre" in token.content):
            raise Untested(f"line {line}: use a fenced block")
        page.inline.extend(child.content for child in token.children or () if child.type == "code_inline")
        if token.type != "fence":
            continue
        kind = token.info.strip()
        if kind == "bash":
            page.steps.append(Step(line, token.content))
        elif kind in _OUTPUTS and may_print:
            page.steps[-1] = Step(page.steps[-1].line, page.steps[-1].commands, token.content, kind)
        elif kind == "shell":
            page.named.extend(_lines(token.content))
        elif kind in _FORMS:
            _FORMS[kind](line, token.content)
        else:
            raise Untested(f"line {line}: no test covers a block of {kind or 'no language'} here")
        may_print = kind == "bash"
    return page


def _lines(commands: str) -> Iterator[str]:
    """Single commands, without comments."""
    joined = commands.replace("\\\n", " ")
    for line in joined.splitlines():
        for command in line.partition("#")[0].split("&&"):
            if command.strip():
                yield command.strip()


def _documents(text: str) -> list[Any]:
    """The JSON documents of a text, one after the other."""
    decoder, found, text = json.JSONDecoder(), [], text.strip()
    while text:
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:].strip()
    return found


def is_same(expected: Any, got: Any) -> bool:
    """Whether an answer equals the page's; ``…`` matches any text, and seconds may have counted down."""
    if isinstance(expected, dict):
        return (
            isinstance(got, dict)
            and expected.keys() == got.keys()
            and all(
                0 <= value - got[name] <= PASSED_SECONDS if name == "expiresInSeconds" else is_same(value, got[name])
                for name, value in expected.items()
            )
        )
    if isinstance(expected, list):
        return isinstance(got, list) and len(expected) == len(got) and all(map(is_same, expected, got))
    if isinstance(expected, str):
        pattern = ".*".join(map(re.escape, expected.split("…")))
        return isinstance(got, str) and re.fullmatch(pattern, got) is not None
    return type(expected) is type(got) and bool(expected == got)
