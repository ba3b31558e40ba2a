"""Reading the values of environment variables and of the command line.

Each function returns the value of a text, or raises ValueError with the end of a sentence, such as "is no path". The
caller begins the sentence with the text, or without it if it is secret.
"""

import json
import re
import ssl
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import unquote, urlsplit

import environ

T = TypeVar("T")
Parse: TypeAlias = Callable[[str], T]

_WHOLE: Final = re.compile(r"[0-9]{1,12}")
_DECIMAL: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_URI_REFERENCE: Final = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,200}")
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|\[?[0-9A-Fa-f:.]{2,45}\]?|/[^,@?#]{1,100}")
_SERVED: Final = re.compile(r"\*|\.?[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
_ORIGIN: Final = re.compile(
    r"https?://(?:\*\.)?[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?|https?://\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?"
)
_ESCAPES: Final = (
    "Special characters of a password are escaped in a URL: %40 for @, %2F for /, %3A for :, %23 for #, %3F for ?, %25"
    " for %"
)
MOST_DAYS: Final = 36_500
LEAST_HISTORY_DAYS: Final = 31
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
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
    """A port to listen on, from the command line. Raises ValueError as ``whole_number``."""
    return whole_number(given, least=1, most=65_535)


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
    """Reads the path of a file with certificates (PEM); None if blank."""
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


def host(given: str) -> str:
    """Reads a host name, an address, or the folder of a Unix socket; "" if blank."""
    if given.strip() and not _HOST.fullmatch(given.strip()):
        raise ValueError("is not a host name or address alone, without scheme and port")
    return given.strip().strip("[]")


def hosts(given: str) -> list[str]:
    """Reads host names to be called by: ``shop.example``, ``.example`` for all names below it, ``*`` for all names."""
    for name in texts(given):
        if not _SERVED.fullmatch(name):
            raise ValueError(f"has {name[:100]!r}: a host name has no scheme and no port, such as shop.example")
    return texts(given)


def origins(given: str) -> list[str]:
    """Reads origins: scheme and host, such as ``https://shop.example``."""
    for origin in texts(given):
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f"has {origin[:100]!r}, which is no origin such as https://shop.example")
    return texts(given)


def brokers(given: str) -> str:
    """Reads servers of Kafka, ``host:port`` each, separated by commas."""
    for server in texts(given):
        name, _, number = server.rpartition(":")
        if not (_HOST.fullmatch(name) and _WHOLE.fullmatch(number) and 0 < int(number) < 65_536):
            raise ValueError("is not a list of servers such as kafka1:9092,kafka2:9092")
    return ",".join(texts(given))


def database_url(given: str) -> str:
    """Reads the URL of a PostgreSQL database; "" if blank."""
    url = text(given).strip()
    if not url:
        return ""
    if url.partition("://")[0].lower() not in ("postgres", "postgresql", "psql", "pgsql"):
        raise ValueError("is not a URL of PostgreSQL: write postgres://user:password@host:5432/name")
    try:
        parts = environ.Env.db_url_config(url)
        ports = [int(number) for number in str(parts["PORT"]).split(",") if number]
    except ValueError:
        raise ValueError(f"is not a URL: host or port can't be read. {_ESCAPES}") from None
    if not parts["NAME"]:
        raise ValueError("names no database: write postgres://user:password@host:5432/name")
    if "@" in str(parts["HOST"]) or not all(0 < number < 65_536 for number in ports):
        raise ValueError(f"has a host or port that can't be right. {_ESCAPES}")
    return url


def redis_url(given: str) -> str:
    """Reads the URL of a Redis server; "" if blank."""
    url = text(given).strip()
    if not url:
        return ""
    scheme = url.partition("://")[0].lower()
    if scheme not in ("redis", "rediss", "unix"):
        raise ValueError("is not a URL of Redis: write redis://:password@host:6379/0, rediss://… or unix:///path")
    try:
        parts = urlsplit(url)
        is_complete = parts.port != 0 and bool(parts.path if scheme == "unix" else parts.hostname)
    except ValueError:
        is_complete = False
    if not is_complete:
        raise ValueError(f"is not a URL: host or port can't be read. {_ESCAPES}")
    if scheme != "unix" and not re.fullmatch(r"/?[0-9]*", parts.path):
        raise ValueError("ends with something else than the number of a database, such as /0")
    return url


def collector(given: str) -> str:
    """Reads the URL of a collector of traces; "" if blank."""
    url = text(given).strip()
    try:
        parts = urlsplit(url)
        is_complete = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_complete = False
    if url and not is_complete:
        raise ValueError("is not a URL such as http://collector:4318")
    if "@" in url:
        raise ValueError("has a user or a password: put them into OTEL_EXPORTER_OTLP_HEADERS")
    if url and find_spec("opentelemetry") is None:
        raise ValueError("needs OpenTelemetry, which isn't installed: pip install 'inventory-reservation[otel]'")
    return url


def headers(given: str) -> dict[str, str]:
    """Reads headers of HTTP: ``name=value``, separated by commas, their values escaped as in URLs."""
    found = {}
    for header in texts(given):
        name, separator, value = header.partition("=")
        if not separator or not _HEADER.fullmatch(name.strip()) or _CONTROL.search(unquote(value)):
            raise ValueError("is not a list of headers such as name=value,other=value")
        found[name.strip().lower()] = unquote(value.strip())
    return found


def backend(given: str) -> str:
    """Reads the dotted path of a class, whose module must exist."""
    module = given.strip().rpartition(".")[0]
    try:
        is_found = bool(module) and find_spec(module) is not None
    except (ImportError, ValueError):
        is_found = False
    if not is_found:
        raise ValueError("is not the path of a Python class such as django.core.mail.backends.smtp.EmailBackend")
    return given.strip()


def days_of_history(given: str) -> int:
    """Reads how many days a history is kept: 31 or more, or 0 for ever."""
    days = whole_within(0, MOST_DAYS)(given)
    if 0 < days < LEAST_HISTORY_DAYS:
        raise ValueError(f"is too short: at least {LEAST_HISTORY_DAYS} days are kept; 0 keeps all")
    return days


def uri_reference(given: str) -> str:
    """Reads a URI, or the path of one."""
    if not _URI_REFERENCE.fullmatch(given.strip()):
        raise ValueError("is not a URI such as /inventory")
    return given.strip()


def options(given: str) -> dict[str, str]:
    """Reads names and values, written as a JSON object of texts; {} if blank."""
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
