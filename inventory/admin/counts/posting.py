"""The page that posts a count, with a preview of differences and of holds that would give way."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from uuid import UUID

from django import forms
from django.http import HttpResponse
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.widgets import UnfoldBooleanWidget

from audit.actors import Actor
from audit.console.base import actor_of
from audit.console.dialogs import DialogForm, SharedDialog
from audit.console.wording import LazyText
from audit.idempotency import Claim, StoredAnswer
from audit.identifiers import parse_uuid
from inventory.holds_port import HoldInTheWay, Preference, holds
from inventory.models import StockCount
from inventory.services.catalogue.stock_warnings import in_words, warnings_of_levels
from inventory.services.counts import documents as counts_documents
from inventory.services.counts import posting
from inventory.services.counts.documents import CountLine
from inventory.services.counts.posting import Posted, PostRequest, Preview
from inventory.services.counts.sold import sold_before

_MOST_SHOWN: Final = 100
_MOST_TO_CHOOSE_FROM: Final = 200


class PostForm(DialogForm):
    """The holds to give way first, and whether to skip uncounted lines."""

    preferred = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    skip_uncounted = forms.BooleanField(
        label=_("Leave out what was not counted"), required=False, widget=UnfoldBooleanWidget()
    )


class PostCountPage(SharedDialog[Posted]):
    """Preview the posting of a count, and post it."""

    title: ClassVar[LazyText] = _("Post this count")
    is_page = True
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "count_incomplete": _("Lines are not counted yet, or need a second count."),
        "count_below_zero": _("More units left since the count than were counted. Count these lines again."),
        "hold_not_in_the_way": _("One of the chosen reservations no longer has to be cancelled. Check the selection."),
        "reserved_unexplained": _("The reserved units of a product don't add up. Tell an administrator."),
    }
    submit = _("Post")
    permission = "inventory.post_count"
    form_class = PostForm
    template = "console/counts/post.html"

    def state(self) -> str:
        """Always the same: a count is posted only once."""
        return ""

    def answer(self) -> HttpResponse:
        if self.request.POST.get("do") == "look" and self.request.user.has_perm(self.permission):
            return self._page(self.make_form(data=self.request.POST))
        return super().answer()

    def make_form(self, **arguments: Any) -> DialogForm:
        form = super().make_form(**arguments)
        known = {str(held.reservation_id): held.public_id for held in self.candidates}
        chosen = {id_: id_ for id_ in self.request.POST.getlist("preferred")}
        form.fields["preferred"].choices = list({**chosen, **known}.items())  # type: ignore[attr-defined]
        return form

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Posted | StoredAnswer:
        request = PostRequest(
            actor, self.subject.pk, given["skip_uncounted"], Preference(_ids(given["preferred"])), claim
        )
        return posting.post_count(request)

    def tell(self, result: Posted) -> str:
        count = len(result.applied)
        words = ngettext("Posted: %(count)s difference.", "Posted: %(count)s differences.", count) % {"count": count}
        broken = len(result.broken)
        if broken:
            more = ngettext(
                "%(count)s reservation was cancelled: see Incidents.",
                "%(count)s reservations were cancelled: see Incidents.",
                broken,
            )
            words = f"{words} {more % {'count': broken}}"
        return words

    # --------------------------------------------------------------------------------------------- for the template

    @cached_property
    def chosen(self) -> tuple[UUID, ...]:
        """The reservations selected to give way first."""
        return _ids(self.request.POST.getlist("preferred"))

    @cached_property
    def preview(self) -> Preview:
        """The preview of posting in the present state."""
        return posting.preview_count(self.subject.pk, actor_of(self.request), self.chosen)

    @cached_property
    def candidates(self) -> list[HoldInTheWay]:
        """The holds on levels with missing units: any of them may give way."""
        short = [line.line.level_id for line in self.preview.short if line.missing]
        return holds().in_the_way(short, self.preview.now, limit=_MOST_TO_CHOOSE_FROM)

    @property
    def choices(self) -> list[tuple[HoldInTheWay, bool, bool]]:
        """The candidates, each with whether it is selected and whether it would give way."""
        broken = {hold.id for hold in self.preview.broken}
        return [(held, held.reservation_id in self.chosen, held.reservation_id in broken) for held in self.candidates]

    @cached_property
    def differing(self) -> list[tuple[CountLine, str, int | None]]:
        """The lines with a difference, the largest first, each with the warnings about its goods and the units sold
        in the 24 hours before it was counted (None while a second count is outstanding)."""
        lines = [line for line in counts_documents.read_lines(self.subject.pk) if line.difference]
        shown = sorted(lines, key=lambda line: -abs(line.difference or 0))[:_MOST_SHOWN]
        known = warnings_of_levels([line.level_id for line in shown])
        sold = sold_before(shown)
        return [(line, in_words(known.get(line.level_id, ())), sold.get(line.id)) for line in shown]

    @property
    def uncounted(self) -> int:
        """The number of lines without a count."""
        return self.preview.progress.lines - self.preview.progress.counted

    @property
    def is_open(self) -> bool:
        """Whether the count is open."""
        return bool(self.subject.status == StockCount.Status.OPEN)


def _ids(given: list[str]) -> tuple[UUID, ...]:
    return tuple(id_ for text in given if (id_ := parse_uuid(text)))
