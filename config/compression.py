"""Compression of the API's answers with gzip, where the caller accepts that, from 1 KiB on.

Shorter ones fit into one packet anyway. Streams of events never are: a compressor would hold back each event until it
has enough of them. The console's pages are compressed by Django's middleware.

Compression can betray a secret of an answer, letter by letter, to somebody who can have it sent beside a text of their
own and sees its length (BREACH). That needs a browser that logs in by itself, as at the console: there Django masks a
form's token anew in each page, and adds a random number of bytes to each compressed answer. Callers of the
API send a token with each request, and no other site can make a browser send one.
"""

import gzip
import re
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from audit.api.following import EventStream, FollowingResponse

LEAST_BYTES: Final = 1024
"""Bodies of this size or less are sent as they are."""
_LEVEL: Final = 4
"""A third faster than the best compression, and 5 % longer."""
_GZIP: Final = re.compile(r"(?:^|,)\s*(?:x-)?gzip\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?)\s*)?(?=,|$)", re.IGNORECASE)


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a caller takes gzip, by its ``Accept-Encoding``: named, and not with ``q=0``."""
    found = _GZIP.search(accept_encoding)
    return found is not None and float(found[1] or 1) > 0


def packed(body: bytes, accept_encoding: str) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """A body as it is sent, and the headers that say so."""
    if len(body) <= LEAST_BYTES:
        return body, []
    vary = (b"vary", b"Accept-Encoding")
    if not accepts_gzip(accept_encoding):
        return body, [vary]
    return gzip.compress(body, _LEVEL, mtime=0), [vary, (b"content-encoding", b"gzip")]


def tag_of_packed(tag: str) -> str:
    """The ``ETag`` of a compressed answer, from that of the plain one."""
    return f'{tag[:-1]}-gzip"'


def pack(response: HttpResponse, request: HttpRequest) -> None:
    """Compress an answer of the API that is complete, and set its ``Content-Length``.

    Its ``ETag`` becomes another strong one, which ends in ``-gzip``: ``audit.api.versions`` knows both.
    """
    goes_on = isinstance(response, FollowingResponse) and response.following is not None
    if not goes_on and not isinstance(response, EventStream):
        content, headers = packed(response.content, request.META.get("HTTP_ACCEPT_ENCODING", ""))
        if headers:
            patch_vary_headers(response, ("Accept-Encoding",))
        if content is not response.content:
            response.content, response.headers["Content-Encoding"] = content, "gzip"
            if tag := response.headers.get("ETag"):
                response.headers["ETag"] = tag_of_packed(tag)
    response.headers["Content-Length"] = str(len(response.content))
