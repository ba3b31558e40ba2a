"""Arguments of commands, read as the console and the API read what is typed."""

from argparse import ArgumentTypeError
from datetime import UTC, date
from typing import Final

from django.core.management.base import CommandError

from audit.instants import NotAnInstant, parse_instant
from audit.texts import RefusedCharacter, clean_line
from audit.whole_numbers import NotWhole, parse_whole_number

LONGEST_ACTOR: Final = 150
_DAY_LENGTH: Final = len("2030-12-31")


def whole_number(name: str, value: object, *, least: int, most: int) -> int:
    """The value of an argument that is a whole number. Raises CommandError."""
    try:
        return parse_whole_number(str(value), least=least, most=most)
    except NotWhole as error:
        raise CommandError(f"{name} takes {least} to {most}, not {value}. {error}") from error


def day(text: str) -> date:
    """The type of an argument that is a day, within the bounds of all instants."""
    try:
        if len(text.strip()) == _DAY_LENGTH:
            return parse_instant(text, UTC).date()
    except NotAnInstant as error:
        raise ArgumentTypeError(str(error)) from error
    raise ArgumentTypeError(f"“{text}” is not a day such as 2030-12-31.")


def line_argument(option: str, text: str, most: int, *, least: int = 1, returncode: int = 1) -> str:
    """The clean text of an option. Raises CommandError, which names the option, for a refused character, and for fewer
    or more characters than it may have.
    """
    try:
        cleaned = clean_line(text)
    except RefusedCharacter as error:
        raise CommandError(f"{option} {error}.", returncode=returncode) from error
    if not least <= len(cleaned) <= most:
        raise CommandError(f"{option} takes {least} to {most} characters.", returncode=returncode)
    return cleaned
