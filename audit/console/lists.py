"""Lists of the console: how their rows are ordered, and how far a list of millions of rows is searched.

An order or a condition that no index answers would read the whole table. The first ``SORTED_AT_MOST`` rows are sorted,
and the newest ``SEARCHED_AT_MOST`` are searched; the list says so, and leads to the older ones.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import NotRelationField, get_fields_from_path
from django.contrib.admin.views.main import ORDER_VAR, SEARCH_VAR
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import connection
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.db.models.expressions import OrderBy
from django.http import HttpRequest
from unfold.views import ChangeList

from audit.identifiers import moment_of
from audit.whole_numbers import grouped

SORTED_AT_MOST: Final = 10_000
"""The most rows that are sorted in an order without an index, out of many: those that have pages."""
SORTED_WHOLE: Final = 100_000
"""A list with fewer rows than this is always sorted as a whole, which takes a tenth of a second."""
_KEYS_FIRST: Final = 1000
"""A list of more rows than this reads the keys of a page first."""
SEARCHED_AT_MOST: Final = 50_000
"""The most rows that are searched by a condition without an index."""
OLDER_VAR: Final = "older_than"
"""The parameter that continues a search: the key of the oldest row that was searched before."""


@dataclass(frozen=True, slots=True)
class Searched:
    """The rows that a list was searched in: the newest ones, back to ``since``, or ``older`` ones by a link."""

    number: int
    since: datetime | None
    older: str

    @property
    def shown_number(self) -> str:
        """The number of rows, formatted."""
        return grouped(self.number)


class ReadByIndex:
    """What of a list an index answers. The rest of a list of millions of rows is looked for among its newest rows.

    ``newest_by`` is the field that orders the rows in time and has an index; empty for a list that is always searched
    as a whole. No filter but ``indexed_filters`` has an index; ``selective_filters`` find few rows, so that any other
    filter may be added. ``looked_up_relations`` are foreign keys to tables with many times more rows than the list: to
    sort by a field of such a table, each row's value is looked up by a subquery, without a join.
    """

    looked_up_relations: ClassVar[frozenset[str]] = frozenset()
    newest_by: ClassVar[str] = ""
    indexed_filters: ClassVar[frozenset[str]] = frozenset()
    selective_filters: ClassVar[frozenset[str]] = frozenset()

    def indexed_orders(self, request: HttpRequest) -> set[str]:
        """The fields, beside that of the default order, by which an index orders the rows that are asked for."""
        return set()

    def is_found_by_index(self, request: HttpRequest, term: str) -> bool:
        """Whether an index answers a search."""
        return True

    def sees_some_rows(self, request: HttpRequest) -> bool:
        """Whether the rows are limited to those of the user's warehouses, which no index answers."""
        return False

    def is_searched_without_index(self, request: HttpRequest, given: set[str], term: str) -> bool:
        """Whether no index answers these parameters, with this search."""
        if (term and self.is_found_by_index(request, term)) or given & self.selective_filters:
            return False
        return bool(given - self.indexed_filters) or self.sees_some_rows(request)

    def in_searched_rows(self, request: HttpRequest, rows: QuerySet[Any], *, oldest: Any, behind: Any) -> QuerySet[Any]:
        """The rows from the key ``oldest`` on and before ``behind`` (None: the newest), with conditions that help to
        find those that pass the filters."""
        return rows


class ConsoleList(ChangeList):  # type: ignore[misc]
    """A list in which rows without a value come last in both directions; PostgreSQL would put them first in one.

    ``searched`` says how far it was searched if not all rows were; ``sorted_number`` how many rows were sorted.
    """

    searched: Searched | None = None
    sorted_number: str = ""

    # ----------------------------------------------------------------------------------------------------------- order

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        return [self._empty_last(self._looked_up(each)) for each in super().get_ordering(request, queryset)]

    def _looked_up(self, order: Any) -> Any:
        """Order by a field of ``looked_up_relations`` with a subquery, which PostgreSQL computes for each row. For a
        join, it would read the whole table."""
        name = order.lstrip("-") if isinstance(order, str) else ""
        relation, _, path = name.partition("__")
        if not path or relation not in self.model_admin.looked_up_relations:
            return order
        field: Any = self.model._meta.get_field(relation)
        rows = field.related_model._base_manager.filter(pk=OuterRef(field.attname))
        return OrderBy(Subquery(rows.values(path)[:1]), descending=order.startswith("-"))

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

    def get_results(self, request: HttpRequest) -> None:
        """The rows of the page. In an order without an index, the first rows of the default order are sorted.

        Of many rows, the keys of a page are read first: no row before it is joined to what only the page shows.
        """
        super().get_results(request)
        if not self.result_count:
            self.result_list: Any = self.queryset.none()  # Nothing is looked for twice.
            return
        if self.params.get(ORDER_VAR) and self.paginator.has_more and not self._is_ordered_by_an_index(request):
            self.sorted_number = grouped(SORTED_AT_MOST)
            keys = self._sorted_keys(request)
        elif self.multi_page and self.result_count > _KEYS_FIRST:
            keys = list(self.result_list.values_list("pk", flat=True))
        else:
            return
        found = {row.pk: row for row in self.queryset.order_by().filter(pk__in=keys)}
        self.result_list = [found[key] for key in keys if key in found]

    def _sorted_keys(self, request: HttpRequest) -> list[Any]:
        """The keys of the page, when only the first rows of the default order are sorted. One query in SQL: Django
        can't order a part of a queryset."""
        usual = [self._empty_last(each) for each in self.model_admin.get_ordering(request)]
        orders = [_parts_of(each) for each in self.queryset.query.order_by]
        keys = {f"sorted_by_{place}": expression for place, (expression, _) in enumerate(orders)}
        first = self.queryset.order_by(*usual).annotate(**keys).values_list("pk", *keys)[:SORTED_AT_MOST]
        sql, parameters = first.query.sql_with_params()
        columns = ", ".join(keys)
        by = ", ".join(f"{name} {direction}" for name, (_, direction) in zip(keys, orders, strict=True))
        page = f"SELECT id FROM ({sql}) AS first (id, {columns}) ORDER BY {by} LIMIT %s OFFSET %s"  # noqa: S608 - names
        with connection.cursor() as cursor:
            cursor.execute(page, [*parameters, self.list_per_page, (self.page_num - 1) * self.list_per_page])
            return [row[0] for row in cursor.fetchall()]

    def _is_ordered_by_an_index(self, request: HttpRequest) -> bool:
        usual = self.model_admin.get_ordering(request)
        indexed = {_name_of(usual[0])} if usual else set()
        chosen = _name_of(self.queryset.query.order_by[0])
        if chosen in indexed | self.model_admin.indexed_orders(request):
            return True
        return estimated_rows(self.queryset) <= SORTED_WHOLE

    # ---------------------------------------------------------------------------------------------------------- search

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = super().get_filters_params(params)
        return {name: value for name, value in found.items() if name != OLDER_VAR}

    def get_queryset(self, request: HttpRequest, exclude_parameters: list[str | None] | None = None) -> QuerySet[Any]:
        """The rows that pass the filters, among the newest ones if no index answers the filters."""
        found: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        return self._among_newest(request, found)

    def all_rows(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows that pass the filters, however long finding them takes; for work in the background."""
        found: QuerySet[Any] = super().get_queryset(request)
        return found

    def _among_newest(self, request: HttpRequest, found: QuerySet[Any]) -> QuerySet[Any]:
        key = self.model_admin.newest_by
        if not key or not self.model_admin.is_searched_without_index(request, self._given(), self.query):
            return found
        rows = self.model._default_manager.order_by(f"-{key}")
        for spec in self.filter_specs:
            if getattr(spec, "bounds_the_search", False):
                rows = spec.queryset(request, rows)
        behind = self._behind(key)
        if behind is not None:
            rows, found = rows.filter(**{f"{key}__lt": behind}), found.filter(**{f"{key}__lt": behind})
        last = rows.values_list(key, flat=True)[SEARCHED_AT_MOST - 1 : SEARCHED_AT_MOST].first()
        if last is None and behind is None:
            return found
        at = last if isinstance(last, datetime) else moment_of(last)
        shown = last.isoformat() if isinstance(last, datetime) else last
        older = self.get_query_string({OLDER_VAR: shown}, ["p"]) if last is not None else ""
        self.searched = Searched(SEARCHED_AT_MOST, at, older)
        if last is None:
            return found
        found = found.filter(**{f"{key}__gte": last})
        return self.model_admin.in_searched_rows(request, found, oldest=last, behind=behind)  # type: ignore[no-any-return]

    def _given(self) -> set[str]:
        """The names of the parameters that filter or search."""
        return {name for name, value in self.get_filters_params().items() if any(value)} | (
            {SEARCH_VAR} if self.query else set()
        )

    def _behind(self, key: str) -> Any:
        """The key that the rows are older than, or None. Raises IncorrectLookupParameters if it is none."""
        given = self.params.get(OLDER_VAR)
        if not given:
            return None
        field: Any = self.model._meta.pk if key == "pk" else self.model._meta.get_field(key)
        try:
            return field.to_python(given)
        except (ValidationError, ValueError) as error:
            raise IncorrectLookupParameters from error


def _name_of(order: Any) -> str:
    """The field of an order, in either direction."""
    expression = getattr(order, "expression", order)
    name = str(getattr(expression, "name", expression)).lstrip("-")
    return "id" if name == "pk" else name


def _parts_of(order: Any) -> tuple[Any, str]:
    """The expression of an order, and its direction in SQL."""
    if isinstance(order, OrderBy):
        return order.expression, f"{'DESC' if order.descending else 'ASC'} NULLS LAST"
    return F(order.lstrip("-")), "DESC" if order.startswith("-") else "ASC"


def estimated_rows(rows: QuerySet[Any]) -> int:
    """How many rows the planner expects; it reads none."""
    plan: Iterable[Any] = json.loads(rows.order_by().values("pk").explain(format="json"))
    return int(next(iter(plan))["Plan"]["Plan Rows"])
