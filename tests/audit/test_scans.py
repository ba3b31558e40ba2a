"""Scans that a browser sends: decoded in order, or refused as a whole with the reason."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from audit.console.scans import MOST_SCANS, Outcome, Scan, ScanAnswer, answer_scans


def sent(body: Any, *, taken: list[Scan] | None = None, known_for: timedelta | None = None) -> HttpResponse:
    """The answer to this body. The scans that were taken are added to ``taken``."""

    def take(scans: Sequence[Scan]) -> ScanAnswer:
        if taken is not None:
            taken.extend(scans)
        return ScanAnswer(outcomes=[Outcome(id=scan.id, status="unknown", message="No.") for scan in scans])

    text = body if isinstance(body, bytes) else json.dumps(body)
    request = RequestFactory().post("/scans/", text, content_type="application/json")
    return answer_scans(request, take, known_for=known_for)


def test_scans_are_taken_in_their_order() -> None:
    taken: list[Scan] = []
    ids = [str(uuid4()) for _ in range(3)]
    answer = sent(
        {"scans": [{"id": id_, "code": f"C-{id_}", "at": "2026-03-01T10:00:00Z"} for id_ in ids]}, taken=taken
    )
    assert [str(scan.id) for scan in taken] == ids
    assert [scan.quantity for scan in taken] == [1, 1, 1]
    assert [outcome["id"] for outcome in json.loads(answer.content)["outcomes"]] == ids
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        {"scans": []},
        {"scans": [{"id": "x", "code": "A"}]},
        {"scans": [{"code": "A"}]},
        {"scans": [{"id": str(UUID(int=1)), "code": "A", "quantity": "1"}]},
        {"scans": [{"id": str(UUID(int=1)), "code": "A", "quantity": 0}]},
        {"scans": [{"id": str(UUID(int=1)), "code": "A", "quantity": 1.5}]},
        {"scans": [{"id": str(UUID(int=1)), "line": "1", "total": -1}]},
        {"scans": [{"id": str(UUID(int=1)), "line": "1", "total": 1_000_001}]},
        {"scans": [{"id": str(UUID(int=1)), "code": "A" * 501}]},
        {"scans": [{"id": str(UUID(int=1)), "code": "A", "amount": 1}]},
        {"scans": [{"id": str(UUID(int=1)), "code": "A", "at": "2026-03-01T10:00:00"}]},
        {"scans": [{"id": str(UUID(int=1)), "code": "A"}], "sentAt": 1772359200000},
        {"scans": [{"id": str(UUID(int=1)), "code": "A"}] * (MOST_SCANS + 1)},
    ],
)
def test_body_of_the_wrong_shape_is_refused_whole(body: Any) -> None:
    taken: list[Scan] = []
    answer = sent(body, taken=taken)
    assert answer.status_code == 400
    assert json.loads(answer.content)["message"]
    assert taken == []


def test_scan_that_may_have_been_taken_before_unknown_to_the_service_is_refused() -> None:
    """A device that was offline for days sends what it kept. Its clock may be wrong, but is the same for all times."""
    now, day = datetime(2001, 5, 3, 12, tzinfo=UTC), timedelta(hours=24)
    ages = [timedelta(hours=49), timedelta(minutes=1), day - timedelta(minutes=6), day, -timedelta(hours=1)]
    scans = [{"id": str(uuid4()), "code": f"C-{n}", "at": (now - age).isoformat()} for n, age in enumerate(ages)]
    scans.append({"id": str(uuid4()), "line": "1", "total": 7, "at": (now - 3 * day).isoformat()})
    taken: list[Scan] = []
    answer = sent({"scans": scans, "sentAt": now.isoformat()}, taken=taken, known_for=day)
    outcomes = json.loads(answer.content)["outcomes"]
    assert [scan.code for scan in taken] == ["C-1", "C-2"]
    assert [one["id"] for one in outcomes] == [scan["id"] for scan in scans]
    assert [one["status"] for one in outcomes] == ["refused", "unknown", "unknown", "refused", "refused", "refused"]
    assert outcomes[0]["message"].startswith("C-0 was sent too long after it was scanned: it may be counted already.")
    sent({"scans": scans}, taken=taken, known_for=day)  # By the service's clock, all of them are years old.
    assert len(taken) == 2
    sent({"scans": scans, "sentAt": now.isoformat()}, taken=taken)
    assert len(taken) == 8


def test_form_body_is_refused_as_a_scan() -> None:
    answer = answer_scans(RequestFactory().post("/scans/", {"scans": "A-1"}), lambda scans: pytest.fail("taken"))
    assert answer.status_code == 400


def test_other_methods_than_post_are_refused() -> None:
    assert answer_scans(RequestFactory().get("/scans/"), lambda scans: pytest.fail("taken")).status_code == 405


@pytest.mark.parametrize(
    ("code", "text"),
    [(" A-1\r\n", "A-1"), ("A\0B", ""), ("A\u200bB", ""), ("x" * 65, ""), ("Ü 1", "Ü 1"), ("", "")],
)
def test_code_of_an_impossible_form_reads_as_empty(code: str, text: str) -> None:
    assert Scan(id=UUID(int=1), code=code).text == text
