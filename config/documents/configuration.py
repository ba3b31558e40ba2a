"""The reference of the configuration: every variable of the environment, by section."""

from collections.abc import Iterator
from typing import Final

from config.environment import PROCESS, Section, Variable

PAGE: Final = "docs/reference/configuration.md"
_HEAD: Final = """\
# Configuration

All settings are environment variables, read once when a process starts. `make fmt` generates this page from their
declarations in `config/variables/`: don't edit it here.

Outside DEBUG the service refuses to start without `SECRET_KEY`, `ALLOWED_HOSTS` and `DATABASE_URL`, with a value that
contains `replace-me`, and with a `SECRET_KEY` that can be guessed. A value that is not of its kind stops the start,
too. All faults are named at once, each with what to do.

Lists are separated by commas. True and false are written `true` and `false`. Numbers are written in digits, without
sign and separators. A default in brackets is a description; every other default is the value itself, and "empty" means
the empty text. The last column names the processes that use the value; all of them read it. † marks secrets: their
values are never shown or logged.
"""
_ROWS: Final = """
## {title}
{intro}
| variable | meaning | unit | allowed | default | used by |
| --- | --- | --- | --- | --- | --- |
"""


def page() -> str:
    """The page, in Markdown."""
    return _HEAD + "".join(part for section in PROCESS.sections for part in _section(section))


def _section(section: Section) -> Iterator[str]:
    intro = f"\n{section.intro}\n" if section.intro else ""
    yield _ROWS.format(title=section.title, intro=intro)
    yield from map(_row, section.variables)


def _row(variable: Variable) -> str:
    mark = " †" if variable.is_secret else ""
    cells = (
        f"`{variable.name}`{mark}",
        variable.meaning,
        variable.unit,
        variable.kind,
        variable.default or "empty",
        ", ".join(variable.used_by),
    )
    return f"| {' | '.join(cells)} |\n"
