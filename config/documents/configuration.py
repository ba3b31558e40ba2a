"""The reference of the configuration: every variable of the environment, by section."""

from collections.abc import Iterator
from typing import Final

from config.environment import PROCESS, Section, Variable
from config.other_names import OTHER_NAMES

PAGE: Final = "docs/reference/configuration.md"
_HEAD: Final = """\
# Configuration

All settings are environment variables, read once when a process starts. `make fmt` generates this page from their
declarations in `config/variables/`: don't edit it here.

Outside DEBUG and DEMO the service refuses to start without `SECRET_KEY`, `ALLOWED_HOSTS` and `DATABASE_URL` (or
`DB_HOST`), with a value that contains `replace-me`, and with a `SECRET_KEY` that can be guessed. Values that are
not of their kind, or contradict each other, stop the start of every process, too. All faults are named at once, each
with what to do.

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


_OTHER_NAMES: Final = """
## Other names

What the properties and variables of other services are called here. A process logs a warning at its start for each of
them that is set and not read, and for each name that is probably a misspelling of one above, such as
`RESERVATION_TTL_MINUTE`.

| name | here | remark |
| --- | --- | --- |
"""


def page() -> str:
    """The page, in Markdown."""
    variables = "".join(part for section in PROCESS.sections for part in _section(section))
    others = (f"| `{name}` | {f'`{ours}`' if ours else 'none'} | {note} |\n" for name, ours, note in OTHER_NAMES)
    return _HEAD + variables + _OTHER_NAMES + "".join(others)


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
