"""Links between pages: the file must exist, and so must the heading of its anchor."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

from config.documents.defects import Defect

_PARSER: Final = MarkdownIt("commonmark").enable("table")
_IN_HTML: Final = re.compile(r"""\b(?:href|src)\s*=\s*["']([^"']+)["']""")
_HTML_ANCHOR: Final = re.compile(r"""\b(?:id|name)\s*=\s*["']([^"']+)["']""")


class _Link(NamedTuple):
    target: str
    line: int


def check_links(root: Path, page: Path) -> Iterator[Defect]:
    """The defects of the relative links of a Markdown page. Links to other sites are not checked."""
    where = page.relative_to(root).as_posix()
    for link in _links(page):
        if message := _fault_of(root, page, link.target):
            yield Defect(where, link.line, message)


def _fault_of(root: Path, page: Path, target: str) -> str | None:
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return None
    if parts.path.startswith("/"):
        return f"{target} is not relative to this page"
    found = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not found.is_relative_to(root):
        return f"{target} leads out of the repository"
    if not found.exists():
        return f"{target} leads to no file"
    if parts.fragment and found.suffix == ".md" and unquote(parts.fragment) not in anchors_of(found):
        return f"{target} leads to no heading"
    return None


def _tokens(page: Path) -> tuple[Token, ...]:
    return _parsed(page.read_text(encoding="utf-8"))


@cache
def _parsed(text: str) -> tuple[Token, ...]:
    return tuple(_PARSER.parse(text))


def _links(page: Path) -> Iterator[_Link]:
    for token in _tokens(page):
        line = token.map[0] + 1 if token.map else 1
        if token.type == "html_block":
            yield from (_Link(target, line) for target in _IN_HTML.findall(token.content))
        for child in token.children or ():
            if child.type in ("softbreak", "hardbreak"):
                line += 1
            elif child.type == "link_open":
                yield _Link(str(child.attrs["href"]), line)
            elif child.type == "image":
                yield _Link(str(child.attrs["src"]), line)
            elif child.type == "html_inline":
                yield from (_Link(target, line) for target in _IN_HTML.findall(child.content))


def anchors_of(page: Path) -> frozenset[str]:
    """The anchors of a page: those of its headings, as GitHub generates them, and those of its HTML."""
    tokens = _tokens(page)
    found: set[str] = set()
    for before, token in pairwise(tokens):
        if before.type == "heading_open":
            anchor = base = _anchor(token)
            repeats = 0
            while anchor in found:
                repeats += 1
                anchor = f"{base}-{repeats}"
            found.add(anchor)
    for token in tokens:
        for part in (token, *(token.children or ())):
            if part.type in ("html_block", "html_inline"):
                found.update(_HTML_ANCHOR.findall(part.content))
    return frozenset(found)


def _anchor(heading: Token) -> str:
    words = "".join(part.content for part in heading.children or () if part.type in ("text", "code_inline"))
    return re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
