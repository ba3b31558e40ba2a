"""The page after a run of a part of the benchmark, which renews the sections that it measured."""

import re
from typing import Final

GOALS: Final = "The goals"
_RUN: Final = re.compile(r"^\d{4}-\d\d-\d\d, .*?: `[^`]*`\.", re.MULTILINE)
"""The sentence about a run: when, where and by which command."""


def renewed(page: str, part: str, about: str) -> str:
    """The page with the sections and goals of a later page in place of its own, or before the goals if it has none.

    Each of these sections begins with ``about``, since what the page says of its run isn't true of them.
    """
    sections, later = _sections(page), _sections(part)
    goals = _rows(sections.pop(GOALS, "")) | _rows(later.pop(GOALS, ""))
    sections |= {title: f"\n{about}\n{text}" for title, text in later.items() if title}
    introduction = sections.pop("")
    parts = [f"## {title}\n{text}" for title, text in sections.items()]
    return "".join([introduction, *parts, f"## {GOALS}\n\n", *(f"{row}\n" for row in goals.values())])


def kept(page: str, later: str) -> str:
    """The later page with those sections of the page that it lacks, before its goals, each below the sentences about
    the run that measured it."""
    before, sections = _sections(page), _sections(later)
    run = _RUN.search(before[""])
    goals = sections.pop(GOALS, "")
    for title in [title for title in before if title not in sections and title != GOALS]:
        text = before[title]
        sections[title] = text if run is None or _RUN.match(text.lstrip("\n")) else f"\n{run.group()}\n{text}"
    order = [*sections, *([GOALS] if goals else [])]
    sections[GOALS] = goals
    return "".join(f"## {title}\n{sections[title]}" if title else sections[title] for title in order)


def _sections(page: str) -> dict[str, str]:
    """The sections by title; what comes before them has none."""
    introduction, *rest = re.split(r"^## (.*)\n", page, flags=re.MULTILINE)
    return {"": introduction} | dict(zip(rest[::2], rest[1::2], strict=True))


def _rows(table: str) -> dict[str, str]:
    """The rows of a table by their first cell, with its head."""
    return {row.split("|")[1]: row for row in table.splitlines() if row.startswith("|")}
