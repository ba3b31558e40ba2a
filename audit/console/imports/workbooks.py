"""Reading of XLSX files by ``workbook_reader``, in a child process with little memory and 40 seconds."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import BoundedSemaphore
from typing import Final

import msgspec

MOST_SECONDS: Final = 40
MOST_WAITING_SECONDS: Final = 5
_MOST_READERS: Final = 2
_READER: Final = str(Path(__file__).with_name("workbook_reader.py"))
_readers: Final = BoundedSemaphore(_MOST_READERS)


class Refusal(Exception):
    """The workbook wasn't read. ``code`` is one of ``workbook_reader``'s, or ``slow`` or ``busy``."""

    def __init__(self, code: str, row: int = 1, column: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.row = row
        self.column = column


class _Answer(msgspec.Struct):
    """What the reader prints."""

    rows: list[tuple[int, list[str], str]] = []
    refusal: str = ""
    row: int = 1
    column: str = ""


def read_workbook(content: bytes, most_rows: int) -> Iterator[tuple[int, list[str], str]]:
    """The first rows of a workbook's active sheet that aren't blank, with their numbers. Raises Refusal.

    This process runs two readers at a time at most: each may take some hundred MB.
    """
    if not _readers.acquire(timeout=MOST_WAITING_SECONDS):
        raise Refusal("busy")
    try:
        answer = _answer(content, most_rows)
    finally:
        _readers.release()
    if answer.refusal:
        raise Refusal(answer.refusal, answer.row, answer.column)
    yield from answer.rows


def command(most_rows: int) -> list[str]:
    """The reader as a program, which ends with this process: the last argument is this one's id."""
    return [sys.executable, "-I", "-B", "-W", "ignore", _READER, str(most_rows), str(os.getpid())]


def _answer(content: bytes, most_rows: int) -> _Answer:
    try:
        ended = subprocess.run(  # noqa: S603 - the command is made here
            command(most_rows), input=content, capture_output=True, timeout=MOST_SECONDS, env={}, check=False
        )
    except subprocess.TimeoutExpired:
        return _Answer(refusal="slow")
    if ended.returncode:  # Killed by a limit, or out of memory where nothing could be caught any more.
        return _Answer(refusal="large")
    return msgspec.json.decode(ended.stdout, type=_Answer)
