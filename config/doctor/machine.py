"""What the doctor looks at on this machine: settings, time zones, limits and disks."""

import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core import checks
from django.core.files.storage import storages

from config import startup
from config.doctor.lines import Line, Outcome, choose, fail, ok, sized, warn

_OPEN_FILES: Final = 4608
"""As many as a web process wants (``config.connections``)."""
_LITTLE: Final = 1024**3
_ALMOST_NOTHING: Final = 100 * 1024**2
_FEW_PARTS: Final = 20
_ZONES: Final = ("UTC", "Europe/Berlin", "America/New_York")


def examine_settings() -> Iterator[Line]:
    """Whether the settings are those of production. Settings that are unsafe or invalid stop every start."""
    for sentence in startup.warnings():
        yield warn("settings", sentence, "rename or remove it: see docs/reference/configuration.md")
    if settings.IS_LOCAL:
        name = "DEBUG" if settings.DEBUG else "DEMO"
        yield warn("settings", f"{name} is on", f"set {name}=false for an installation that others use")
        return
    found = [each for each in checks.run_checks(include_deployment_checks=True) if not each.is_silenced()]
    serious = [each for each in found if each.level >= checks.WARNING]
    for each in serious:
        outcome = Outcome.FAIL if each.is_serious() else Outcome.WARN
        yield Line(
            "settings", outcome, f"{each.id}: {_first_line(each.msg)}", _first_line(each.hint or "see the check")
        )
    if not serious:
        yield ok("settings", "those of production; Django's checks pass")
    if not settings.SESSION_COOKIE_SECURE:
        yield warn(
            "settings",
            "cookies are also sent by plain HTTP",
            "put a proxy with TLS in front, and remove SECURE_COOKIES",
        )


def _first_line(text: str) -> str:
    return str(text).strip().splitlines()[0]


def examine_time_zones() -> Iterator[Line]:
    """Whether this machine has the data of time zones, in which staff read times."""
    try:
        for name in _ZONES:
            ZoneInfo(name)
    except ZoneInfoNotFoundError:
        yield fail("time zones", "this machine has no data of time zones", "install the package tzdata")
    else:
        yield ok("time zones", "their data is installed")


def examine_open_files() -> Iterator[Line]:
    """How many files a process may open: each connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    is_few = hard != resource.RLIM_INFINITY and hard < _OPEN_FILES
    shown = "any number of" if hard == resource.RLIM_INFINITY else f"{hard:,}"
    todo = f"raise the limit (ulimit -Hn) to {_OPEN_FILES}, so that a web process accepts 4,096 connections"
    yield choose("open files", f"a process may open {shown} files", todo, is_bad=is_few)


def examine_disks() -> Iterator[Line]:
    """The room in the folders that the service writes to."""
    yield examine_folder("disk of ARCHIVE_DIR", settings.ARCHIVE_DIR)
    yield examine_folder("disk of DATA_DIR", settings.DATA_DIR)


def examine_static_files() -> Iterator[Line]:
    """Whether the console's scripts and styles are where a web process looks for them. In DEBUG they are found by
    themselves, and a process that serves the API alone needs none."""
    if settings.WEB_SERVES == "api" or not isinstance(storages["staticfiles"], ManifestFilesMixin):
        return
    manifest = Path(settings.STATIC_ROOT) / "staticfiles.json"
    todo = "run manage.py collectstatic, with the STATIC_ROOT of the web processes"
    found = f"those of the console are {'' if manifest.exists() else 'not '}collected in {settings.STATIC_ROOT}"
    yield choose("static files", found, todo, is_bad=not manifest.exists(), outcome=Outcome.FAIL)


def examine_folder(subject: str, folder: Path, *, is_ours: bool = True) -> Line:
    """The room in a folder, or where it would be made; and whether this process may write there, if that ``is_ours``
    to do."""
    there = next(each for each in (folder, *folder.parents) if each.is_dir())
    usage = shutil.disk_usage(there)
    found = f"{sized(usage.free)} of {sized(usage.total)} are free in {folder}"
    todo = "make room, or move the folder"
    if usage.free < _ALMOST_NOTHING:
        return fail(subject, found, todo)
    if usage.free < min(_LITTLE, usage.total // _FEW_PARTS):
        return warn(subject, found, todo)
    may_write = not is_ours or os.access(there, os.W_OK)
    return choose(subject, found, "let workers write there: this process may not", is_bad=not may_write)
