"""Pages that were opened before somebody else's change."""

from html import unescape

from django.http import HttpResponse


def text_of(page: HttpResponse) -> str:
    return unescape(page.content.decode())
