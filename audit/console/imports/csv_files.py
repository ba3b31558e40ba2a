"""Reading of CSV files as they come: with or without a byte-order mark, in UTF-8, UTF-16 or Windows-1252, split at
commas, semicolons or tabs, with the line ``sep=;`` that spreadsheets write. Pure."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Final

from django.utils.translation import gettext

from audit.console.imports.rows import RawRow, Unreadable

WESTERN: Final = "windows-1252"
"""The encoding that is assumed for a file without signs of another one. The preview says that it is a guess."""
_DELIMITERS: Final = ",;\t"
_SAMPLE_CHARACTERS: Final = 64 * 1024
_SAMPLE_ROWS: Final = 50
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, ""),  # Begins like UTF-16. No spreadsheet writes it.
    (codecs.BOM_UTF32_BE, ""),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SEPARATOR_LINE: Final = re.compile(r'"?sep=([,;\t|])"?\r?\n?', re.IGNORECASE)
_NOT_WESTERN: Final = re.compile(r"[^\x00-\x7f€‚„…†‡‰‹›‘’“”•–—™¡-¿À-ÖØ-öø-ÿŒœŠšŽžŸƒˆ˜]|[À-ÖØ-öø-ÿŒœŠšŽžŸ]{4}")
"""Sequences that no text of Western Europe has, such as four accented letters in a row: the file is in another code
page than Windows-1252."""


def decoded(content: bytes) -> tuple[str, str]:
    """The text of a file and the name of its encoding. Raises Unreadable, with the row of the first bad byte.

    Without a byte-order mark it is UTF-8, or else what spreadsheets on Windows save as “CSV”: Windows-1252. A file that
    mixes both is damaged.
    """
    mark, encoding = next(((mark, name) for mark, name in _MARKS if content.startswith(mark)), (b"", "utf-8"))
    if not encoding or (not mark and b"\0" in content[:2]):  # UTF-16 without a mark
        raise Unreadable(_unknown_encoding())
    try:
        return content[len(mark) :].decode(encoding), encoding
    except UnicodeDecodeError as error:
        row = 1 if encoding != "utf-8" else content.count(b"\n", 0, error.start) + 1
        if mark or not _is_single_byte(content):
            raise Unreadable(_unknown_encoding(), row) from error
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError as error:
        raise Unreadable(_unknown_encoding(), row) from error
    if _NOT_WESTERN.search(text):
        raise Unreadable(_unknown_encoding(), row)
    return text, WESTERN


def _is_single_byte(content: bytes) -> bool:
    """Whether there is no UTF-8 sequence beyond ASCII, and no NUL, which UTF-16 without a byte-order mark has."""
    return b"\0" not in content and not re.search(rb"[\xc3-\xf4][\x80-\xbf]", content)


def _unknown_encoding() -> str:
    return gettext(
        "is neither UTF-8, UTF-16 with a byte-order mark, nor Windows-1252: save it as “CSV UTF-8”, or as XLSX"
    )


def csv_rows(text: str) -> Iterator[RawRow]:
    """The records of a CSV file, including blank ones, each with the number of its first row. Raises Unreadable."""
    starts = 1
    delimiter = ""
    if named := _SEPARATOR_LINE.match(text):
        delimiter, text, starts = named[1], text[named.end() :], 2
    lines_before = starts - 1
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter or delimiter_of(text), strict=True)
    try:
        for cells in reader:
            yield RawRow(starts, cells)
            starts = lines_before + reader.line_num + 1
    except csv.Error as error:
        message = gettext("can't be read, nor what follows: %(why)s")
        raise Unreadable(message % {"why": error}, starts) from error


def delimiter_of(text: str) -> str:
    """The delimiter: the sign that splits most rows into the same number of cells, as a decimal comma, or a comma in a
    title above the header, does not."""
    return max(_DELIMITERS, key=lambda delimiter: _regularity(text, delimiter))


def _regularity(text: str, delimiter: str) -> tuple[int, int]:
    """The most frequent width above 1 of the first rows, as (number of rows, width)."""
    sample = text[:_SAMPLE_CHARACTERS]
    if len(text) > _SAMPLE_CHARACTERS:
        sample = sample[: sample.rfind("\n") + 1] or sample
    widths: Counter[int] = Counter()
    try:
        for cells in islice(csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter), _SAMPLE_ROWS):
            if any(map(str.strip, cells)):
                widths[len(cells)] += 1
    except csv.Error:
        pass
    widths.pop(1, None)
    if not widths:
        return 0, 1
    width = max(widths, key=lambda width: (widths[width], width))
    return widths[width], width
