"""What a process refuses to start with. All faults are named at once."""

import ipaddress
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured

from config.contradictions import contradictions
from config.environment import PROCESS
from config.other_names import unread_names

logger = logging.getLogger(__name__)

PLACEHOLDER: Final = "replace-me"
"""What `.env.example` has for values that everybody must choose."""
SECRET_KEY_LENGTH: Final = 50
WEB_POOL_SIZE: Final = 20
"""The database connections of a web process, unless ``DATABASE_POOL_SIZE`` is set."""
_SECRET_KEY_CHARACTERS: Final = 5
_NEW_KEY: Final = "python3 -c 'import secrets; print(secrets.token_urlsafe(50))'"
_REQUIRED: Final = {
    "SECRET_KEY": "sessions and signatures need a secret of their own",
    "ALLOWED_HOSTS": "requests for other hosts are refused",
    "DATABASE_URL": "stock is never kept in an embedded database outside DEBUG and DEMO",
}
_LOCAL: Final = {
    True: ("DEBUG", "error pages would show settings and code to other machines"),
    False: ("DEMO", "its logins and tokens would be sent to other machines without TLS"),
}
"""What is for this machine alone, and why; by whether it is DEBUG."""
_ARCHIVED: Final = ("MOVEMENT_RETENTION_DAYS", "RESERVATION_RETENTION_DAYS", "AUDIT_RETENTION_DAYS")
_INSTEAD: Final = {"DATABASE_URL": "DB_HOST"}


@cache
def begin() -> None:
    """Load the settings as the first step of a program: exit with all faults, a line each, or log all warnings once."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    exit_on_faults()
    import_module(os.environ["DJANGO_SETTINGS_MODULE"])  # Logs are written as the settings say from here on.
    for sentence in warnings():
        logger.warning(sentence)


def refuse_faults() -> None:
    """Raise ImproperlyConfigured with all faults, a line each, if there are any."""
    if found := faults():
        raise ImproperlyConfigured("\n".join(found))


def exit_on_faults() -> None:
    """Exit with all faults, a line each, if there are any."""
    if found := faults():
        sys.exit("\n".join(found))


def faults() -> list[str]:
    """What is wrong with the variables of this process, each with what to do; empty if it may start."""
    from config import variables  # noqa: F401, PLC0415 - reads them, once the program has set its own defaults

    values = PROCESS.values
    is_local = values["DEBUG"] or values["DEMO"]
    unsafe = local_faults(values["ALLOWED_HOSTS"], debug=values["DEBUG"]) if is_local else _production_faults(values)
    return [*PROCESS.faults.values(), *unsafe, *contradictions(PROCESS)]


def warnings() -> list[str]:
    """A sentence for each given variable that nothing reads and that is probably a mistake."""
    from config import variables  # noqa: F401, PLC0415 - as above

    return [*unread_names(PROCESS.given, PROCESS.variables)]


def folder_faults(values: Mapping[str, Any] = PROCESS.values) -> list[str]:
    """A fault if rows are archived and this process can't write to ``ARCHIVE_DIR``. Called by workers only."""
    folder: Path = values["ARCHIVE_DIR"]
    if not any(values[name] for name in _ARCHIVED):
        return []
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return []
    return [
        (
            f"ARCHIVE_DIR: {folder} can't be written: give it to the user of this process, or choose another folder"
            f" (or keep all rows in the database: {', '.join(f'{name}=0' for name in _ARCHIVED)})."
        )
    ]


def local_faults(hosts: Sequence[str], *, debug: bool) -> Iterator[str]:
    """A fault, in DEBUG and DEMO, if ``ALLOWED_HOSTS`` names hosts that other machines can reach."""
    if far := [host for host in hosts if not is_loopback(host)]:
        name, why = _LOCAL[debug]
        yield (
            f"{name} is on and ALLOWED_HOSTS has {', '.join(far)}: {why}"
            f" (set {name}=false, or only allow localhost, 127.0.0.1 and [::1])."
        )


def _production_faults(values: Mapping[str, Any]) -> Iterator[str]:
    for name, why in _REQUIRED.items():
        if not any(values[other] or other in PROCESS.faults for other in (name, _INSTEAD.get(name, name))):
            yield f"{name} is not set: {why} (set it, or set DEBUG=true on a developer's machine)."
    for name in PROCESS.variables:
        if PLACEHOLDER in PROCESS.given.get(name, ""):
            yield f"{name} still has the placeholder {PLACEHOLDER}: everybody knows it (choose a value of your own)."
    key = values["SECRET_KEY"]
    if key and PLACEHOLDER not in key and (len(key) < SECRET_KEY_LENGTH or len(set(key)) < _SECRET_KEY_CHARACTERS):
        yield (
            f"SECRET_KEY can be guessed: it needs at least {SECRET_KEY_LENGTH} characters, of which"
            f" {_SECRET_KEY_CHARACTERS} differ (make one: {_NEW_KEY})."
        )


def is_loopback(host: str) -> bool:
    """Whether a host, as in ``ALLOWED_HOSTS`` or to listen on, is reached from this machine alone."""
    name = host.strip("[]").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def refuse_local_beyond_loopback(host: str, values: Mapping[str, Any] = PROCESS.values) -> None:
    """Exit with a sentence where a server in DEBUG or DEMO would listen for other machines."""
    if (values["DEBUG"] or values["DEMO"]) and not is_loopback(host):
        name, why = _LOCAL[values["DEBUG"]]
        sys.exit(f"{name} is on and HOST is {host}: {why} (set {name}=false, or HOST=127.0.0.1).")
