"""Reading the values of environment variables and of the command line.

Each function returns the value of a text, or raises ValueError with the rest of a sentence: the text was shown before,
unless it is secret.
"""

import json
import re
import ssl
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

T = TypeVar("T")
Parse: TypeAlias = Callable[[str], T]

_WHOLE: Final = re.compile(r"[0-9]{1,12}")
_DECIMAL: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_URI_REFERENCE: Final = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,200}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_FLAGS: Final = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


def as_default(value: Any) -> str:
    """A default as the reference writes it; the empty text for an empty one."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None or value in ("", [], {}) else str(value)


def whole_number(given: str, *, least: int, most: int) -> int:
    """A whole number from the command line. Raises ValueError, with what was given and what is expected."""
    try:
        return whole_within(least, most)(given)
    except ValueError as error:
        raise ValueError(f"{given!r} {error}") from error


def port(given: str) -> int:
    """A port to listen on, from the command line; 0 for any that is free. Raises ValueError as ``whole_number``."""
    return whole_number(given, least=0, most=65_535)


def whole_within(least: int, most: int) -> Parse[int]:
    """Reads a whole number."""

    def parse(given: str) -> int:
        number = int(given) if _WHOLE.fullmatch(given.strip()) else -1
        if not least <= number <= most:
            raise ValueError(f"is not a whole number from {least:,} to {most:,}, written in the digits 0 to 9")
        return number

    return parse


def decimal_within(least: float, most: float) -> Parse[float]:
    """Reads a number with or without decimals."""

    def parse(given: str) -> float:
        number = float(given) if _DECIMAL.fullmatch(given.strip()) else -1.0
        if not least <= number <= most:
            raise ValueError(f"is not a number from {least:,g} to {most:,g} such as 10 or 0.5")
        return number

    return parse


def flag(given: str) -> bool:
    """Reads whether something is switched on."""
    try:
        return _FLAGS[given.strip().lower()]
    except KeyError:
        raise ValueError("is neither true nor false") from None


def text(given: str) -> str:
    """Reads a text without control characters."""
    if _CONTROL.search(given):
        raise ValueError("has a line break or another control character (at its end, perhaps)")
    return given


def texts(given: str) -> list[str]:
    """Reads texts that are separated by commas."""
    return [part.strip() for part in text(given).split(",") if part.strip()]


def choice_of(choices: Sequence[str]) -> Parse[str]:
    """Reads one of a few words, in capitals or not."""

    def parse(given: str) -> str:
        for word in choices:
            if word.lower() == given.strip().lower():
                return word
        raise ValueError(f"is not one of {', '.join(choices)}")

    return parse


def path(given: str) -> Path:
    """Reads the path of a file or folder."""
    if not text(given).strip():
        raise ValueError("is no path")
    return Path(given).resolve()


def certificates(given: str) -> Path | None:
    """Reads the path of a file with certificates (PEM); none if it is empty."""
    if not given.strip():
        return None
    found = path(given)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(found)
    except ssl.SSLError:
        raise ValueError("is not a file of certificates (PEM)") from None
    except OSError as error:
        raise ValueError(f"can't be read ({error.strerror})") from None
    return found


def uri_reference(given: str) -> str:
    """Reads a URI, or the path of one."""
    if not _URI_REFERENCE.fullmatch(given.strip()):
        raise ValueError("is not a URI such as /inventory")
    return given.strip()


def options(given: str) -> dict[str, str]:
    """Reads names and values, written as a JSON object of texts; none if it is empty."""
    try:
        found = json.loads(given) if given.strip() else {}
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError('is not a JSON object of texts such as {"name": "value"}')
    return found


def networks(given: str) -> list[IPv4Network | IPv6Network]:
    """Reads networks, or single addresses, separated by commas."""
    try:
        return [ip_network(part.strip()) for part in given.split(",") if part.strip()]
    except ValueError as error:
        raise ValueError(f"is not a list of networks such as 10.0.0.0/8,fd00::/8 ({error})") from error
