"""What the dashboard consists of: figures in cards and in a chart, read for one user."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from django.apps import apps
from django.contrib import admin
from django.core.cache import cache
from django.http import HttpRequest
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.functional import Promise

from audit.console.base import actor_of, reach_of
from audit.whole_numbers import grouped

_KEPT_SECONDS: Final = 10

LazyText = str | Promise
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with a label and a link to its list. ``tone`` is ``bad``, ``warn`` or plain."""

    label: LazyText
    value: Any
    link: str = ""
    tone: str = ""

    @property
    def shown(self) -> str:
        """The formatted value."""
        if isinstance(self.value, datetime):
            return str(formats.date_format(timezone.localtime(self.value), "DATETIME_FORMAT"))
        return grouped(self.value) if isinstance(self.value, int) else str(self.value)


@dataclass(frozen=True, slots=True)
class Card:
    """A group of figures. ``calm`` is the text shown if all of them are zero."""

    title: LazyText
    icon: str
    figures: list[Figure]
    calm: LazyText = ""

    @property
    def is_calm(self) -> bool:
        """Whether all figures are zero."""
        return bool(self.calm) and not any(figure.value for figure in self.figures)


@dataclass(frozen=True, slots=True)
class Hour:
    """The numbers of holds made and ended within an hour. ``heights`` are percentages of the highest bar, by kind."""

    begins: datetime
    made: Figure
    ended: list[Figure]
    heights: dict[str, float]


@dataclass(frozen=True, slots=True)
class Chart:
    """Holds by hour, the oldest first, and their totals."""

    hours: list[Hour]
    totals: list[tuple[str, Figure]]
    highest: int

    @property
    def shown_highest(self) -> str:
        """The highest value of the scale, formatted."""
        return grouped(self.highest)


class Reader:
    """Reads figures for one user, within permissions and reach."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self.actor = actor_of(request)

    def may_open(self, model: str) -> bool:
        """Whether the user may open the list of this model ("app.model")."""
        model_admin = admin.site._registry.get(apps.get_model(model))
        return model_admin is not None and model_admin.has_view_permission(self.request)

    def kept(self, name: str, read: Callable[[], V]) -> V:
        """The result of ``read``, cached for some seconds for all users with the same warehouses."""
        key = f"dashboard:{name}:{reach_of(self.request).decode()}"
        known: V | None = cache.get(key)
        if known is None:
            known = read()
            cache.set(key, known, _KEPT_SECONDS)
        return known


def link(model: str, **asked: Any) -> str:
    """The address of a model's list, filtered by these lookups."""
    address = reverse(f"admin:{model.replace('.', '_')}_changelist")
    return f"{address}?{urlencode(asked)}" if asked else address


def reservations(**asked: Any) -> str:
    """The address of the list of reservations, filtered."""
    return link("reservations.reservation", **asked)
