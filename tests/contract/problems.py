"""Checks of problem documents."""

import re
from typing import Any

from django.http import HttpResponse

SENTENCE = re.compile(r"(?![a-z])(?s:.+)[.?]|[a-z]+-[0-9a-f]{8}(?s:.+)\.")
"""A whole sentence, which may begin with an id."""
REQUIRED = {"type": str, "title": str, "status": int, "detail": str, "code": str, "requestId": str}


def problem(response: HttpResponse, status: int | None = None, code: str | None = None) -> dict[str, Any]:
    """The problem document of a refusal, checked for its shape."""
    assert 400 <= response.status_code < 500, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = response.json()  # type: ignore[attr-defined]
    assert {name: type(document[name]) for name in REQUIRED} == REQUIRED
    assert set(document) <= {*REQUIRED, "errors"}
    assert document["status"] == response.status_code
    assert document["requestId"] == response.headers["X-Request-ID"]
    assert SENTENCE.fullmatch(document["detail"]), document
    for fault in document.get("errors", ()):
        assert {"pointer", "code", "detail"} <= set(fault)
        assert SENTENCE.fullmatch(fault["detail"]), fault
    if status:
        assert response.status_code == status, document
    if code:
        assert document["code"] == code, document
    return document


def pointers(response: HttpResponse) -> list[str]:
    """The JSON pointers of a refusal's faults."""
    return [fault["pointer"] for fault in problem(response).get("errors", [])]
