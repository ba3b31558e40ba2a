"""Lists of the console: how their rows are ordered."""

from typing import Any

from django.contrib.admin.utils import NotRelationField, get_fields_from_path
from django.core.exceptions import FieldDoesNotExist
from django.db.models import F, QuerySet
from django.db.models.expressions import OrderBy
from django.http import HttpRequest
from unfold.views import ChangeList


class ConsoleList(ChangeList):  # type: ignore[misc]
    """A list in which rows without a value come last in both directions; PostgreSQL would put them first in one."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        return [self._empty_last(each) for each in super().get_ordering(request, queryset)]

    def _empty_last(self, order: Any) -> Any:
        if isinstance(order, str) and order.startswith("-") and self._may_be_empty(order[1:]):
            return F(order[1:]).desc(nulls_last=True)
        if isinstance(order, OrderBy) and (order.nulls_first or (order.descending and not order.nulls_last)):
            return OrderBy(order.expression, descending=order.descending, nulls_last=True)
        return order

    def _may_be_empty(self, path: str) -> bool:
        """Whether a field, through relations, may be null. Annotations may. An order by others can use an index."""
        if path == "pk":
            return False
        try:
            return any(getattr(field, "null", True) for field in get_fields_from_path(self.model, path))
        except (FieldDoesNotExist, NotRelationField):
            return True
