"""The environment: each variable is declared once, in `config/variables/`, and read there.

A declaration names the variable's kind, unit, default, bounds and meaning, and the processes that use it. Its value has
the type of its kind. A value that can't be read is a fault, and the default stands in for it, so that all faults are
found before the start is refused (`config.startup`). The reference of the configuration is generated from the
declarations.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Final, TypeVar

from config import parsing
from config.parsing import Parse

MOST: Final = 2_147_483_647
MOST_DAYS: Final = parsing.MOST_DAYS
MOST_HOURS: Final = 24 * MOST_DAYS
MOST_MINUTES: Final = 60 * MOST_HOURS
MOST_SECONDS: Final = 86_400.0
_SHOWN_LENGTH: Final = 100
_SERVICE_LINK: Final = "tcp://"

T = TypeVar("T")
D = TypeVar("D")  # Of a default.


class Used(StrEnum):
    """The processes that use a variable's value. All processes read every variable, and refuse to start alike."""

    ALL = "all"
    WEB = "web"
    WORKER = "worker"
    SWEEPER = "sweeper"
    BEAT = "beat"
    RELAY = "relay"
    CONSUMER = "consumer"
    COMMANDS = "commands"
    DEMO = "demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A declared variable. ``kind`` and ``default`` are for readers; ``default`` is empty text for an empty value."""

    name: str
    kind: str
    unit: str
    default: str
    meaning: str
    used_by: tuple[Used, ...]
    is_secret: bool


@dataclass(slots=True)
class Section:
    """Variables that belong together: a heading of the reference, and what declares and reads its variables."""

    title: str
    intro: str
    _environment: "Environment"
    variables: list[Variable] = field(default_factory=list)

    def text(self, name: str, default: str = "", **facts: Any) -> str:
        """A text without control characters."""
        return self.parsed(name, default, parsing.text, kind="text", **facts)

    def texts(self, name: str, default: Sequence[str] = (), **facts: Any) -> list[str]:
        """Texts that are separated by commas, without the spaces around them."""
        return self.parsed(name, list(default), parsing.texts, kind="list", **facts)

    def flag(self, name: str, default: bool, **facts: Any) -> bool:
        """Whether something is switched on."""
        return self.parsed(name, default, parsing.flag, kind="true or false", unit="true or false", **facts)

    def whole(self, name: str, default: D, *, least: int = 0, most: int = MOST, **facts: Any) -> int | D:
        """A whole number; ``default`` may be None."""
        parse = parsing.whole_within(least, most)
        return self.parsed(name, default, parse, kind=f"{least:,} to {most:,}", **facts)

    def decimal(
        self, name: str, default: float, *, least: float = 0.001, most: float = MOST_SECONDS, **facts: Any
    ) -> float:
        """A number with or without decimals."""
        parse = parsing.decimal_within(least, most)
        return self.parsed(name, default, parse, kind=f"{least:,g} to {most:,g}", **facts)

    def port(self, name: str, default: D, *, least: int = 1, **facts: Any) -> int | D:
        """A port; None if there is none.

        In Kubernetes and Docker a service called ``redis`` sets ``REDIS_PORT=tcp://…`` for its neighbours: such a value
        is ignored.
        """
        if self._environment.given.get(name, "").startswith(_SERVICE_LINK):
            self._environment.ignored.add(name)
        parse = parsing.whole_within(least, 65_535)
        return self.parsed(name, default, parse, kind=f"{least} to 65,535", unit="port", **facts)

    def choice(self, name: str, default: str, choices: Sequence[str], **facts: Any) -> str:
        """One of a few words, in capitals or not."""
        return self.parsed(name, default, parsing.choice_of(choices), kind=", ".join(choices), **facts)

    def path(self, name: str, default: Path, **facts: Any) -> Path:
        """The absolute path of a file or folder, which need not exist."""
        return self.parsed(name, default, parsing.path, kind="path", unit="path", **facts)

    def networks(self, name: str, default: str, **facts: Any) -> list[IPv4Network | IPv6Network]:
        """Networks, or single addresses, separated by commas."""
        return self.parsed(name, parsing.networks(default), parsing.networks, kind="networks", unit="networks", **facts)

    def parsed(
        self,
        name: str,
        default: D,
        parse: Parse[T],
        *,
        kind: str,
        unit: str,
        meaning: str,
        used_by: Sequence[Used] = (Used.ALL,),
        shown: str | None = None,
        is_secret: bool = False,
    ) -> T | D:
        """Declare a variable of any kind and return its value.

        ``parse`` raises ValueError with the rest of a sentence such as "is not a URL"; ``shown``: how the reference
        describes a default that is computed; ``is_secret``: the value is never shown, logged or part of a fault.
        """
        default_text = parsing.as_default(default) if shown is None else f"({shown})"
        self.variables.append(
            Variable(
                name=name,
                kind=kind,
                unit=unit,
                default=default_text,
                meaning=meaning,
                used_by=tuple(used_by),
                is_secret=is_secret,
            )
        )
        return self._environment.read(self.variables[-1], default, parse)


class Environment:
    """Names and values that were given, those declared, and what is wrong with them."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.given = given
        self.ignored: set[str] = set()
        self.sections: list[Section] = []
        self.faults: dict[str, str] = {}
        """The fault of each variable whose value can't be read: a sentence that names it."""
        self.values: dict[str, Any] = {}
        """The value of each declared variable."""

    def section(self, title: str, intro: str = "") -> Section:
        """A new section, the last one."""
        self.sections.append(Section(title, intro, self))
        return self.sections[-1]

    @property
    def variables(self) -> dict[str, Variable]:
        """All declared variables by name."""
        return {variable.name: variable for section in self.sections for variable in section.variables}

    def read(self, variable: Variable, default: D, parse: Parse[T]) -> T | D:
        """The value of a declared variable; its default if it isn't given or can't be read, which is noted."""
        self.values[variable.name] = value = self._read(variable, default, parse)
        return value

    def _read(self, variable: Variable, default: D, parse: Parse[T]) -> T | D:
        given = self.given.get(variable.name)
        if given is None or variable.name in self.ignored:
            return default
        try:
            return parse(given)
        except ValueError as error:
            shown = "its value" if variable.is_secret else repr(given[:_SHOWN_LENGTH])
            default_text = variable.default.strip("()")
            hint = f" Leave it out for the default ({default_text})." if default_text else ""
            self.faults[variable.name] = f"{variable.name}: {shown} {error}.{hint}"
            return default


PROCESS: Final = Environment(os.environ)
"""The environment of this process."""
section: Final = PROCESS.section
