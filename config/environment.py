"""Numbers of the environment and of the command line, read before the settings: digits only, within bounds."""

import json
import os
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

import environ
from django.core.exceptions import ImproperlyConfigured

_WHOLE: Final = re.compile(r"[0-9]{1,12}")
_URI_REFERENCE: Final = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,200}")
_DECIMAL: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_MOST: Final = 2_147_483_647
MOST_DAYS: Final = 36_500
MOST_HOURS: Final = 24 * MOST_DAYS
MOST_MINUTES: Final = 60 * MOST_HOURS
_MOST_PORT: Final = 65_535


def whole_number(text: str, *, least: int, most: int) -> int:
    """The number of a text. Raises ValueError, with what was given and what is expected."""
    number = int(text) if _WHOLE.fullmatch(text) else -1
    if not least <= number <= most:
        raise ValueError(f"{text!r} is not a whole number from {least:,} to {most:,}, written in the digits 0 to 9")
    return number


def port(text: str) -> int:
    """The number of a port to listen on. Raises ValueError."""
    return whole_number(text, least=0, most=_MOST_PORT)


class Environment(environ.Env):  # type: ignore[misc]
    """The environment. Its numbers are never negative, and never infinite."""

    def int(self, var: str, default: int, *, least: int = 0, most: int = _MOST) -> int:
        """A whole number. Raises ImproperlyConfigured."""
        text = os.environ.get(var)
        try:
            return default if text is None else whole_number(text.strip(), least=least, most=most)
        except ValueError as error:
            raise ImproperlyConfigured(f"{var}: {error}.") from error

    def float(self, var: str, default: float) -> float:
        """A number with or without decimals. Raises ImproperlyConfigured."""
        text = os.environ.get(var)
        if text is None:
            return default
        if not _DECIMAL.fullmatch(text.strip()):
            raise ImproperlyConfigured(f"{var}: {text!r} is not a number such as 10 or 0.5.")
        return float(text)

    def choice(self, var: str, default: str, choices: tuple[str, ...]) -> str:
        """One of some words. Raises ImproperlyConfigured."""
        text = os.environ.get(var, default).strip()
        if text not in choices:
            raise ImproperlyConfigured(f"{var}: {text[:300]!r} is none of {', '.join(choices)}.")
        return text

    def uri_reference(self, var: str, default: str) -> str:
        """A URI, or the path of one. Raises ImproperlyConfigured."""
        text = os.environ.get(var, default).strip()
        if not _URI_REFERENCE.fullmatch(text):
            raise ImproperlyConfigured(f"{var}: {text[:300]!r} is not a URI such as /inventory.")
        return text

    def options(self, var: str, default: str = "") -> dict[str, str]:
        """Names and values, written as a JSON object of texts; none if it is empty. Raises ImproperlyConfigured."""
        text = os.environ.get(var, default).strip()
        try:
            found = json.loads(text) if text else {}
        except ValueError:
            found = None
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            # Without the text: it may have a password.
            raise ImproperlyConfigured(f'{var} is not a JSON object of texts such as {{"name": "value"}}.')
        return found

    def networks(self, var: str, default: str) -> list[IPv4Network | IPv6Network]:
        """Networks, such as ``10.0.0.0/8``, or single addresses, separated by commas. Raises ImproperlyConfigured."""
        try:
            return [ip_network(text.strip()) for text in os.environ.get(var, default).split(",") if text.strip()]
        except ValueError as error:
            raise ImproperlyConfigured(f"{var}: {error}. Write networks such as 10.0.0.0/8,fd00::/8.") from error
