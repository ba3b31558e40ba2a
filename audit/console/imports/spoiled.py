"""Codes that a spreadsheet spoiled: a barcode as ``4.00638E+12``, ``#N/A``, ``######``, a date that was a code. Pure.

A spreadsheet changes what looks like a number, a date or a truth value when a file is opened, and doesn't say so. Where
a code is expected, such texts are refused. Who really means one puts an apostrophe before it, as exports do.
"""

import re
from typing import Final

from django.utils.translation import gettext, gettext_noop

_ERROR_NAMES: Final = """
#N/A #NV #N/D #N/D! #N/B #I/T #YOK #Н/Д #HIÁNYZIK #SAKNAS! #PUUTTUU! #NENÍ_K_DISPOZICI #REF! #BEZUG! #RIF! #VERW!
#ADR! #ODKAZ! #REFERENS! #REFERENCE! #VIITTAUS! #HIV! #BAŞV! #ССЫЛКА! #¡REF! #VALUE! #WERT! #VALEUR! #¡VALOR! #VALOR!
#VALORE! #WAARDE! #ARG! #HODNOTA! #VÄRDEFEL! #VÆRDI! #VERDI! #ARVO! #ÉRTÉK! #DEĞER! #ЗНАЧ! #NAME? #NOM? #¿NOMBRE?
#NOME? #NAAM? #NAZWA? #NÁZEV? #NAMN? #NAVN? #NIMI? #NÉV? #AD? #ИМЯ? #DIV/0! #¡DIV/0! #DEEL/0! #DZIEL/0! #DĚLENÍ_NULOU!
#DIVISION/0! #JAKO/0! #ZÉRÓOSZTÓ! #SAYI/0! #ДЕЛ/0! #NUM! #ZAHL! #NOMBRE! #¡NUM! #NÚM! #GETAL! #LICZBA! #ČÍSLO!
#OGILTIGT! #TAL! #LUKU! #SZÁM! #SAYI! #ЧИСЛО! #NULL! #NUL! #¡NULO! #NULO! #NULLO! #LEEG! #ZERO! #SKÄRNING! #TYHJÄ!
#NULLA! #BOŞ! #ПУСТО! #SPILL! #ÜBERLAUF! #PROPAGATION! #¡DESBORDAMIENTO! #DESPEJAR! #ESPANSIONE! #OVERLOOP! #CALC!
#KALK! #FIELD! #FELD! #BLOCKED! #BLOCKIERT! #CONNECT! #UNKNOWN! #BUSY! #PYTHON! #EXTERNAL! #GETTING_DATA
"""
"""The names of errors in English, German and other languages, as spreadsheets save them in files of text."""
_MONTHS: Final = (
    "[Jj]an|[Ff]eb|[Mm]ar|[Aa]pr|[Mm]ay|[Jj]un|[Jj]ul|[Aa]ug|[Ss]ep|[Oo]ct|[Nn]ov|[Dd]ec"  # English
    "|[Jj]än|[Mm]rz|[Mm]är|[Mm]ai|[Oo]kt|[Dd]ez"  # German
    "|janv|févr|mars|avr|mai|juin|juil|août|sept|déc"  # French
    "|ene|abr|ago|dic|gen|mag|giu|lug|set|ott|fev|abr|out|mrt|mei|maj"  # Spanish, Italian, Portuguese, Dutch
)
"""Months as spreadsheets write them. None is in capitals: ``MAR-26`` is a code."""
_DATES: Final = (
    r"\d{4}-(?:0?[1-9]|1[0-2])-(?:0?[1-9]|[12]\d|3[01])(?:[ T]\d{1,2}:\d{2}(?::\d{2})?)?",
    r"(?:0?[1-9]|[12]\d|3[01])[./-](?:0?[1-9]|[12]\d|3[01])[./-](?:19|20)\d{2}(?: \d{1,2}:\d{2}(?::\d{2})?)?",
    r"(?:0?[1-9]|[12]\d|3[01])[./](?:0?[1-9]|[12]\d|3[01])[./]\d{2}",
    rf"\d{{1,2}}[-. ]{{1,2}}(?:{_MONTHS})\.?(?:[-. ]\d{{2,4}})?",
    rf"(?:{_MONTHS})\.?[-. ]\d{{2}}(?:\d{{2}})?",
)
_TRUTHS: Final = (
    "[Tt]rue|TRUE|[Ff]alse|FALSE|WAHR|FALSCH|VRAI|FAUX|VERDADERO|VERDADEIRO|FALSO|VERO|WAAR|ONWAAR|PRAWDA|FAŁSZ"
)
_KINDS: Final = (
    ("short", r"[+-]?\d(?:[.,]\d+)?[Ee][+-]\d{2,3}|[+-]?\d[.,]\d+[Ee]\d{1,3}"),
    ("decimal", r"\d{6,}[.,]0+"),
    ("error", f"(?i:{'|'.join(map(re.escape, _ERROR_NAMES.split()))})" + r"|#[A-Z/0]{2,20}[!?]|Err:\d{3}"),
    ("narrow", r"#{3,}"),
    ("time", r"\d{1,2}:[0-5]\d(?::[0-5]\d)?(?: ?[AaPp]\.?[Mm]\.?)?"),
    ("date", "|".join(_DATES)),
    ("truth", _TRUTHS),
)
_SPOILED: Final = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _KINDS))
_SAYS: Final = {
    "short": gettext_noop(
        "shows “%(text)s”: the spreadsheet has shortened a long number. Format the column as text, and enter the code "
        "again"
    ),
    "decimal": gettext_noop(
        "shows “%(text)s”: a program changed the code to a decimal number. Format the column as text, and enter the "
        "code again"
    ),
    "error": gettext_noop("shows “%(text)s”, an error of the spreadsheet. Enter the text itself"),
    "narrow": gettext_noop(
        "shows “%(text)s”: the column was too narrow when the file was saved. Widen it, and save the file again"
    ),
    "time": gettext_noop(
        "shows “%(text)s”: the spreadsheet changed the code to a time. Format the column as text, and enter the code "
        "again"
    ),
    "date": gettext_noop(
        "shows “%(text)s”: the spreadsheet changed the code to a date. Format the column as text, and enter the code "
        "again"
    ),
    "truth": gettext_noop(
        "shows “%(text)s”: the spreadsheet changed the code to yes or no. Format the column as text, and enter the "
        "code again"
    ),
    "long": gettext_noop(
        "is a number of more than 15 digits: the spreadsheet has rounded it. Format the column as text, and enter the "
        "code again"
    ),
    "fraction": gettext_noop(
        "shows “%(text)s”, a number: trailing zeros may be lost. Format the column as text, and enter the code again"
    ),
    "formula": gettext_noop("has a formula: copy the cells and paste only their values"),
}
_MEANT: Final = gettext_noop("(if the code really is this text, put an apostrophe before it)")
_OF_TYPES: Final = {"d": "date", "h": "time", "b": "truth", "e": "error", "f": "formula", "l": "long", "r": "fraction"}
"""The kinds of workbook cells, by the letters of ``workbook_reader``, that are no texts."""
_NOT_IN_TEXTS: Final = frozenset({"error", "narrow"})
_MOST_SHOWN: Final = 40


def kind_of(text: str, type_: str = "s") -> str:
    """How a spreadsheet spoiled a code, such as ``date``; empty if it didn't.

    ``type_`` is the type of a workbook's cell. What is marked as text there (``t``) was meant so, unless it is a number
    that was shortened before.
    """
    if kind := _OF_TYPES.get(type_):
        return kind
    found = _SPOILED.fullmatch(text)
    kind = found.lastgroup or "" if found else ""
    return kind if type_ != "t" or kind in ("short", "narrow") else ""


def fault_of_cell(place: str, text: str, type_: str, *, is_code: bool) -> str | None:
    """What is wrong with a cell, and what to do; None if nothing is. ``place`` is its name in a spreadsheet, ``B7``.

    Only a code may not be a date, a time or a truth value; no cell is taken from an error or a formula.
    """
    kind = kind_of(text, type_)
    if not kind or not (is_code or kind in _NOT_IN_TEXTS or kind == "formula"):
        return None
    if type_ == "b":
        text = "TRUE" if text == "yes" else "FALSE"
    shown = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
    detail = gettext(_SAYS[kind]) % {"text": shown}
    ending = f" {gettext(_MEANT)}" if type_ == "s" and kind != "narrow" else ""
    return f"{place} {detail}{ending}"
