"""The search of lists for the short numbers of their documents."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpRequest

from audit.texts import without_refused
from inventory.models.documents import parse_number


class FoundByNumber:
    """A list whose search finds a document by its short number, such as ``TR-1042``, before anything else."""

    number_kinds: ClassVar[tuple[str, ...]]
    """The kinds of its documents."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        kind, number = parse_number(without_refused(search_term), self.number_kinds) or ("", 0)
        called = queryset.filter(number=number)
        if len(self.number_kinds) > 1:
            called = called.filter(kind=kind)
        if kind and called.exists():
            return called, False
        results: tuple[QuerySet[Any], bool] = super().get_search_results(request, queryset, search_term)  # type: ignore[misc]
        return results
