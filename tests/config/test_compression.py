"""Answers of the API are compressed from 1 KiB on, in threads and on the event loop; streams of events never."""

import gzip
import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory

from audit.api.following import EventStream, Following, LongPoll
from audit.api.http import ApiView, LoopRequest, Pending
from audit.authentication import Caller as ApiCaller
from audit.errors import DomainError, Fault, Invalid
from audit.feed import Hub, Selected
from audit.feed import hub as hubs
from audit.idempotency import StoredAnswer
from config import compression, listening, on_loop
from config.answering import Answering
from config.loop_routes import Route
from tests import loops
from tests.audit.feed.test_tail import made
from tests.config.test_listening import HERE, START, Caller, following
from tests.conftest import Api
from tests.factories import make_product


@pytest.mark.parametrize(
    ("header", "is_accepted"),
    [
        ("gzip", True),
        ("GZip", True),
        ("x-gzip", True),
        ("br, gzip;q=0.5", True),
        ("gzip ; q=1.0 , *;q=0", True),
        ("deflate,gzip;q=0.001", True),
        ("", False),
        ("br", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000, br", False),
        ("notgzip", False),
        ("gzipped", False),
        ("\x00gzip", False),
    ],
)
def test_gzip_is_sent_to_those_who_accept_it(header: str, is_accepted: bool) -> None:
    assert compression.accepts_gzip(header) == is_accepted
    body, headers = compression.packed(b"x" * 2000, header)
    assert (body != b"x" * 2000) == is_accepted
    assert (b"vary", b"Accept-Encoding") in headers


@pytest.mark.parametrize(("length", "is_packed"), [(0, False), (1024, False), (1025, True)])
def test_short_answers_are_sent_as_they_are(length: int, is_packed: bool) -> None:
    for accepted in ("gzip", "br"):
        answer = packed(HttpResponse(b"x" * length, headers={"Vary": "Authorization"}), accepted)
        assert ("Content-Encoding" in answer.headers) == (is_packed and accepted == "gzip")
        assert answer.headers["Vary"] == ("Authorization, Accept-Encoding" if is_packed else "Authorization")
        assert answer.headers["Content-Length"] == str(len(answer.content))


def packed(response: HttpResponse, accepted: str = "gzip") -> HttpResponse:
    compression.pack(response, RequestFactory().get("/api/v1/products", headers={"Accept-Encoding": accepted}))
    return response


def test_lengths_of_console_pages_are_random() -> None:
    """So that what an address says and a secret of the page can't be compared by the compressed length (BREACH)."""
    client = Client(headers={"Host": "localhost", "Accept-Encoding": "gzip"})
    answers = [client.get("/nothing") for _ in range(20)]
    assert {answer.headers["Content-Encoding"] for answer in answers} == {"gzip"}
    assert len({len(answer.content) for answer in answers}) > 3


def event_response(kind: type[LongPoll] | type[EventStream], *, goes_on: bool) -> Any:
    where: Following = following()
    nothing = Selected((), HERE, has_more=False)
    if kind is EventStream:
        response: Any = EventStream(nothing, None, where if goes_on else None)
    else:
        response = LongPoll(nothing, where, goes_on=goes_on)
    response.content = b"x" * 5000
    return response


def test_streams_of_events_are_never_compressed_and_complete_polls_are() -> None:
    for kind, goes_on, expected in (
        (EventStream, True, False),
        (EventStream, False, False),
        (LongPoll, True, False),  # Completed, and compressed, on the event loop.
        (LongPoll, False, True),
    ):
        answer = packed(event_response(kind, goes_on=goes_on))
        assert ("Content-Encoding" in answer.headers) == expected, (kind, goes_on)


@pytest.mark.parametrize("accepted", ["gzip", "gzip;q=0"])
def test_poll_that_waited_is_compressed(accepted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Hub(lambda _: None)
    monkeypatch.setattr(listening, "hub", lambda: own)
    monkeypatch.setattr(hubs, "_look", lambda known: (known or made(end=HERE), False))
    where, caller = replace(following(), render=lambda *_: b"x" * 2000), Caller()
    response = LongPoll(Selected((), HERE, has_more=False), where, goes_on=True)
    loops.run(listening.follow(response, START, caller.receive, caller.send, accept_encoding=accepted))
    headers = dict(caller.sent[0]["headers"])
    assert (b"content-encoding" in headers) == (accepted == "gzip")
    assert (gzip.decompress(caller.body) if accepted == "gzip" else caller.body) == b"x" * 2000
    assert headers[b"vary"] == b"Accept-Encoding"
    assert headers[b"content-length"] == b"%d" % len(caller.body)
    own.close()


class _Submission:
    def __init__(self, outcome: StoredAnswer | DomainError) -> None:
        self._outcome = outcome

    async def outcome_on_loop(self) -> StoredAnswer:
        if isinstance(self._outcome, DomainError):
            raise self._outcome
        return self._outcome


def answered_on_loop(outcome: StoredAnswer | DomainError, accepted: str) -> tuple[dict[bytes, bytes], bytes]:
    """The headers and the body of an answer of the event loop."""
    caller = Caller()
    meta = {"HTTP_ACCEPT_ENCODING": accepted, "inventory.request_id": "probe"}
    path = "/api/v1/inventory/reserve"
    request = LoopRequest("POST", path, meta, b"{}", ApiCaller(uuid4(), "shop", "checkout", ()))
    pending = Pending(_Submission(outcome), lambda answer: answer)  # type: ignore[arg-type]
    handed_in = on_loop.HandedIn(Route(path, ApiView), request, pending)
    loops.run(on_loop.answer(handed_in, caller.send, Answering("POST")))
    return dict(caller.sent[0]["headers"]), caller.body


@pytest.mark.parametrize("accepted", ["gzip", "", "gzip;q=0"])
def test_long_answers_of_the_event_loop_are_compressed(accepted: str) -> None:
    refusal = Invalid("Too many", [Fault(f"/items/{number}", "invalid", "is not a quantity") for number in range(40)])
    for outcome in (StoredAnswer(200, b'{"a":"' + b"x" * 2000 + b'"}'), refusal):
        headers, body = answered_on_loop(outcome, accepted)
        assert headers[b"content-length"] == b"%d" % len(body)
        assert headers[b"vary"] == b"Accept-Encoding"
        assert (headers.get(b"content-encoding") == b"gzip") == (accepted == "gzip")
        json.loads(gzip.decompress(body) if accepted == "gzip" else body)
    headers, body = answered_on_loop(StoredAnswer(200, b"{}"), accepted)
    assert (body, b"vary" in headers, b"content-encoding" in headers) == (b"{}", False, False)


@pytest.mark.django_db
def test_lists_and_problems_of_the_api_are_compressed(api: Api) -> None:
    for _ in range(12):
        make_product()
    plain = api.get("/api/v1/products")
    short = api.get("/api/v1/products", Accept_Encoding="gzip")
    assert len(plain.content) > compression.LEAST_BYTES
    assert gzip.decompress(short.content) == plain.content
    assert (short.headers["Content-Encoding"], short.headers["Content-Length"]) == ("gzip", str(len(short.content)))
    assert "Accept-Encoding" in plain.headers["Vary"]
    wrong = {"cartId": "c", "items": [{"productId": "x", "quantity": 0} for _ in range(15)]}
    refused = api.post("reserve", wrong, Accept_Encoding="gzip")
    assert refused.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(refused.content))["status"] == refused.status_code


@pytest.mark.django_db
def test_compressed_answer_has_a_tag_of_its_own_that_requests_may_send_back(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "LEAST_BYTES", 10)
    path = f"/api/v1/products/{make_product().pk}"
    plain, short = api.get(path).headers["ETag"], api.get(path, Accept_Encoding="gzip").headers["ETag"]
    assert short == f'{plain[:-1]}-gzip"'
    assert api.get(path, If_None_Match=short).status_code == 304
    assert api.get(path, If_None_Match=short, Accept_Encoding="gzip").status_code == 304
