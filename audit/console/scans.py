"""What the scan module of the browser (``scanning.js``) sends, and what it gets.

A page that takes scans has an address that answers ``POST {"scans": [...]}``, several scans in the order in which they
were made, with one outcome for each. A scan has an id made in the browser, which sends it again until it has an answer:
the server recognises the id and does nothing twice.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.utils import timezone
from django.utils.translation import gettext as _
from msgspec import Meta
from msgspec.structs import replace

from audit.console.base import claimant_of, reach_of
from audit.idempotency import Claim, StoredAnswer, fingerprint

MOST_SCANS: Final = 100
"""The most scans of a request."""
LONGEST_CODE: Final = 64
"""The longest code of a product or a place, in characters."""
_SCAN_KEY: Final = "scan-"
_CLOCKS_DIFFER: Final = timedelta(minutes=5)
"""How far the clocks of a browser and the service run apart, and how long a request takes, at most."""

Status = Literal["added", "place", "unknown", "ambiguous", "refused", "repeat"]


class Scan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One scan, or a figure typed for a line.

    ``code`` is what the scanner read, and ``quantity`` the units that it adds; None only looks the code up. ``choice``
    is the key of the one that was chosen among several with this code. ``total`` replaces the units of a line, which is
    the one of ``line``, or else the one that ``code`` finds.
    """

    id: UUID
    code: Annotated[str, Meta(max_length=500)] = ""
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)] | None = 1
    at: Annotated[datetime, Meta(tz=True)] | None = None
    choice: Annotated[str, Meta(max_length=100)] = ""
    line: Annotated[str, Meta(max_length=100)] = ""
    total: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None

    @property
    def text(self) -> str:
        """The code without the blanks around it; empty if no product or place can have it: it is too long, or has
        characters that aren't printed."""
        code = self.code.strip()
        return code if len(code) <= LONGEST_CODE and code.isprintable() else ""


class ScanLine(msgspec.Struct, frozen=True, kw_only=True):
    """The line that a scan changed, with its units now. ``text`` is a remark about it, such as where it lies;
    ``warning`` is what to know about its goods, such as that they are frozen."""

    key: str
    sku: str
    name: str
    quantity: int | None = None
    text: str = ""
    warning: str = ""


class ScanChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One of several that a code could mean. ``key`` is sent back as the ``choice`` of the next scan."""

    key: str
    sku: str
    name: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a scan. ``message`` is a sentence for the person; ``address`` is a page to go to."""

    id: UUID
    status: Status
    message: str
    line: ScanLine | None = None
    choices: tuple[ScanChoice, ...] = ()
    address: str = ""


class ScanAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The outcomes in the order of the scans. ``lines`` is the number of lines with units, ``units`` their sum."""

    outcomes: Sequence[Outcome]
    lines: int = 0
    units: int = 0


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """``sent_at`` is the time of sending by the browser's clock, which also made the times of the scans."""

    scans: Annotated[tuple[Scan, ...], Meta(min_length=1, max_length=MOST_SCANS)]
    sent_at: Annotated[datetime, Meta(tz=True)] | None = None


_decoder: Final = msgspec.json.Decoder(_Body)


def answer_scans(
    request: HttpRequest, take: Callable[[Sequence[Scan]], ScanAnswer], *, known_for: timedelta | None = None
) -> HttpResponse:
    """Decode the scans of a request and answer with what ``take`` makes of them.

    ``known_for`` is how long the service knows the ids of scans that it took; None for scans that change nothing. An
    older scan may have been taken before, unknown to the service: it is refused, and the browser lists it.

    405 for another method than POST; 400 with the reason for a body of the wrong shape, of which no scan was taken. The
    browser then sends its scans one by one, so that a damaged one holds up no other.
    """
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        body = _decoder.decode(json_body(request))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return json_answer({"message": str(error)}, status=400)
    late = {} if known_for is None else {one.id: _late(one) for one in body.scans if _is_late(one, body, known_for)}
    answer = take([scan for scan in body.scans if scan.id not in late])
    taken = iter(answer.outcomes)
    outcomes = [late.get(scan.id) or next(taken) for scan in body.scans]
    return json_answer(replace(answer, outcomes=outcomes))


def _is_late(scan: Scan, body: _Body, known_for: timedelta) -> bool:
    """Whether a scan is too old, or was made by a clock that was set back since: its age is unknown then."""
    if scan.at is None:
        return False
    age = (body.sent_at or timezone.now()) - scan.at
    return not -_CLOCKS_DIFFER <= age <= known_for - _CLOCKS_DIFFER


def _late(scan: Scan) -> Outcome:
    words = _("%(code)s was sent too long after it was scanned: it may be counted already. Check, and scan it again.")
    return Outcome(id=scan.id, status="refused", message=words % {"code": scan.code[:40] or _("A figure")})


def json_body(request: HttpRequest) -> bytes:
    """The body of a request that sends JSON; empty for a form, whose body was read to look for its token."""
    return request.body if request.content_type == "application/json" else b""


def json_answer(value: Any, status: int = 200) -> HttpResponse:
    """A JSON answer that no cache keeps."""
    headers = {"Cache-Control": "no-store"}
    return HttpResponse(msgspec.json.encode(value), status=status, content_type="application/json", headers=headers)


def scan_claim(request: HttpRequest, scan: Scan, render: Callable[[Any], Outcome]) -> Claim:
    """The idempotency key of a scan, which is claimed in the transaction that does what the scan asks for."""
    body = msgspec.json.encode((scan.code, scan.quantity, scan.choice, scan.line, scan.total))
    print_ = fingerprint("POST", request.path, body, reach_of(request))

    def stored(result: Any) -> StoredAnswer:
        return StoredAnswer(200, msgspec.json.encode(render(result)))

    return Claim(claimant_of(request), f"{_SCAN_KEY}{scan.id}", print_, stored)


def repeated(answer: StoredAnswer) -> Outcome:
    """The outcome of a scan that was done before, as it was then."""
    return replace(msgspec.json.decode(answer.body, type=Outcome), status="repeat")
