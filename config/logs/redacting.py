"""No secret is logged: a value is hidden if its key or its form is that of a secret, or if it is a secret variable."""

import re
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from config.environment import Environment

HIDDEN: Final = "[hidden]"
_LONGEST_TEXT: Final = 2000
_LONGEST_TRACEBACK: Final = 16_000
_LONGEST_LIST: Final = 50
_DEEPEST: Final = 5
_SHORTEST_SECRET: Final = 6
_WORDS: Final = (
    r"pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|secret[_-]?key|private[_-]?key|authorization|cookie"
)
_SECRET_KEY: Final = re.compile(rf"(?i)(?:^|[_.-])(?:{_WORDS}|sessionid|csrftoken|dsn)s?$")
_PATTERNS: Final = (
    # The password of a URL, up to the last @ of it.
    (re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@\"'<>]*:)[^\s\"'<>]+@"), rf"\1{HIDDEN}@"),
    # Of a libpq connection string, of librdkafka's options, of JSON, of a header, of a query.
    (
        re.compile(
            rf"(?i)((?:^|[^a-z])(?:[a-z0-9]+[_.-])*(?:{_WORDS}|sessionid|csrftoken)[\"']?\s*[=:]\s*)"
            r"(?:(?:bearer|basic|token)\s+)?(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s,;&}\]\"']+)"
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    # A token of this service, and the secrets and keys of webhooks.
    (re.compile(r"\b[0-9a-f]{16}\.[A-Za-z0-9_-]{43}\b"), HIDDEN),
    (re.compile(r"\bwhs(?:ec|k)_[A-Za-z0-9+/=_-]+"), HIDDEN),
)
_SUSPECT: Final = re.compile(
    r"(?i)://|pass|pwd|secret|token|key|authorization|cookie|sessionid|csrf|bearer|basic|whs|[0-9a-f]{16}\."
)
"""Whether a text may match one of the patterns at all."""
_OURS: Final = frozenset({"timestamp", "level", "logger", "method", "route", "task"})
"""Keys whose values only the service chooses: they are logged as they are."""


def secrets_of(environment: Environment) -> set[str]:
    """The secrets that were given: whole values, and the passwords of URLs as they stand there and decoded."""
    found = set[str]()
    for name, variable in environment.variables.items():
        if variable.is_secret and (given := environment.given.get(name)):
            found |= {part for part in _parts_of(given) if len(part) >= _SHORTEST_SECRET}
    return found


def _parts_of(given: str) -> Iterator[str]:
    try:
        password = urlsplit(given).password
    except ValueError:
        password = None
    if password:
        yield from (given, password, unquote(password))
    elif "://" not in given:
        yield from (given, *given.split(","))


class Redactor:
    """A processor that hides secrets and cuts long values."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        longest_first = sorted(secrets, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if secrets else None

    def __call__(self, _logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """The line with its values hidden and cut."""
        for key, value in line.items():
            if key not in _OURS and not key.startswith("_"):
                line[key] = self._traceback(value) if key == "exception" else self._value(key, value, 0)
        return line

    def text(self, text: str) -> str:
        """A text without secrets."""
        hidden = self._known.sub(HIDDEN, text) if self._known else text
        if not _SUSPECT.search(hidden):
            return hidden
        for pattern, instead in _PATTERNS:
            hidden = pattern.sub(instead, hidden)
        return hidden

    def _traceback(self, text: str) -> str:
        """A traceback whose beginning and end are kept."""
        if len(text) > _LONGEST_TRACEBACK:
            half = _LONGEST_TRACEBACK // 2
            text = f"{text[:half]}\n… {len(text) - 2 * half} characters …\n{text[-half:]}"
        return self.text(text)

    def _value(self, key: str, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if _SECRET_KEY.search(key):
            return HIDDEN
        if isinstance(value, Mapping) and depth < _DEEPEST:
            few = list(value.items())[:_LONGEST_LIST]
            return {self.text(str(name)): self._value(str(name), each, depth + 1) for name, each in few}
        if isinstance(value, list | tuple | set | frozenset) and depth < _DEEPEST:
            return [self._value("", each, depth + 1) for each in list(value)[:_LONGEST_LIST]]
        text = value if isinstance(value, str) else str(value)
        cut = text[:_LONGEST_TEXT]
        return self.text(cut) + (f"… ({len(text)} characters)" if len(text) > len(cut) else "")
