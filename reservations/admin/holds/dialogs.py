"""Dialogs that release, extend or sell one or many holds. They call the same services as the API.

Each chosen hold is decided on its own, with an idempotency key of its own that begins with the form's key: if a form is
sent twice, no hold is changed twice, even if the first request was interrupted half-way.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final
from uuid import UUID

import msgspec
from django import forms
from django.contrib import messages
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.console.base import ConsoleAdmin, actor_of
from audit.console.dialogs import Dialog, DialogForm, ReasonField
from audit.console.numbers import WholeNumberField
from audit.console.selection import SelectedField
from audit.console.texts import CodeField
from audit.console.wording import LazyText
from audit.display import shown_time
from audit.errors import DomainError
from audit.idempotency import Claim, StoredAnswer
from audit.identifiers import parse_uuid, short_id
from inventory.admin.stock.overriding import OVERRIDE_WORDINGS, OverrideField, offer_override
from reservations.models import ReservationItem
from reservations.services.holds import extending, resolution
from reservations.services.holds.documents import Hold, Status
from reservations.services.holds.extending import ExtendRequest
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest
from reservations.services.holds.selecting import Selector
from reservations.services.holds.selling_by_hand import frozen_holds, sell_by_hand

CHOSEN_AT_MOST: Final = 200


@dataclass(frozen=True, slots=True)
class HoldResult:
    """The result of the action on one chosen hold, in the console's words."""

    id: UUID
    is_done: bool
    text: str

    @property
    def short_id(self) -> str:
        """The end of the reservation's id, as people see it."""
        return short_id(self.id)


class HoldForm(DialogForm):
    """The base form of the dialogs of holds. ``chosen`` is empty if the dialog was opened for a single hold."""

    chosen = SelectedField(most=CHOSEN_AT_MOST, required=False)


class ReleaseForm(HoldForm):
    reason = ReasonField(help_text=_("It is shown in the reservation's history."))


class ExtendForm(HoldForm):
    minutes = WholeNumberField(label=_("Minutes"), min_value=1, max_value=15, initial=15)


class ConsumeForm(HoldForm):
    freeze_override = OverrideField()
    order_id = CodeField(
        label=_("Order"),
        max_length=64,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )
    reacquire = forms.BooleanField(
        label=_("Sell even if expired"),
        help_text=_("For a late payment: its units are reserved again, if they are still available."),
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
    )


class HoldsDialog(Dialog[list[HoldResult]]):
    """A dialog for one action on one hold (``object_id``) or on several ``chosen`` ones."""

    title_of_many: ClassVar[LazyText]
    done_to_many: ClassVar[LazyText]
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "reservation_not_found": _("This no longer exists, or you don't have access."),
        "reservation_expired": _("This reservation has expired; its units are available to others."),
        "reservation_consumed": _("It was sold before."),
        "reservation_released": _("It was released before."),
        "already_extended": _("It was extended before, and can be extended only once."),
    }

    def __init__(
        self,
        model_admin: ConsoleAdmin,
        request: HttpRequest,
        object_id: str | None = None,
        *,
        chosen: Sequence[UUID] = (),
    ) -> None:
        super().__init__(model_admin, request, object_id)
        self.chosen = chosen
        if self.subject is None:
            self.title = self.title_of_many  # type: ignore[misc]

    # ---------------------------------------------------------------------------------- what a subclass defines

    @abstractmethod
    def act(self, actor: Actor, given: dict[str, Any], claims: Mapping[UUID, Claim]) -> Sequence[Any]:
        """Call the service for the holds of ``claims``. Returns its outcomes, in the same order."""

    @abstractmethod
    def sentence(self, outcome: Any) -> str:
        """The message for a hold that was not refused."""

    # ----------------------------------------------------------------------------------------------------- the form

    @property
    def address(self) -> str:
        """The URL that the form is sent to: the hold's own, or the one for chosen holds."""
        if self.subject is not None:
            return self.request.path
        verb = self.permission.split(".")[1].split("_")[0]
        return reverse(f"{self.model_admin.admin_site.name}:reservations_reservation_chosen_{verb}")

    def open(self) -> HttpResponse:
        """Render the form for the chosen holds, in response to the list's action."""
        return self._page(self.make_form(initial={"once": uuid7(), **self.initial()}))

    def answer(self) -> HttpResponse:
        if self.subject is None and self.request.method != "POST":
            messages.warning(self.request, str(_("Choose reservations in the list first.")))
            return redirect(self.way_back())
        return super().answer()

    def initial(self) -> dict[str, Any]:
        return {"chosen": ",".join(str(id_) for id_ in self.chosen)}

    def make_form(self, **arguments: Any) -> DialogForm:
        form = super().make_form(**arguments)
        form.fields["chosen"].required = self.subject is None
        return form

    def way_back(self) -> str:
        if self.chosen:
            return self.request.get_full_path()
        return super().way_back()

    def about(self) -> list[tuple[LazyText, Any]]:
        if self.subject is not None:
            named = [
                (_("Cart"), self.subject.cart_id),
                (_("Order"), self.subject.order_id),
                (_("Customer"), self.subject.customer_id),
                (_("Units"), self.subject.units),
                (_("Ends"), shown_time(self.subject.expires_at)),
            ]
            return [(name, value) for name, value in named if value]
        if not self.chosen:
            return []
        units = ReservationItem.objects.filter(reservation__in=self.chosen).aggregate(units=Sum("quantity"))["units"]
        return [(_("Reservations"), len(self.chosen)), (_("Units"), units or 0)]

    # --------------------------------------------------------------------------------------------------- the action

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> list[HoldResult]:
        ids = [self.subject.pk] if self.subject is not None else given["chosen"]
        claims = {id_: self._claim_of(claim, id_) for id_ in ids}
        outcomes = self.act(actor, given, claims)
        if self.subject is not None and isinstance(outcomes[0], DomainError):
            raise outcomes[0]
        return [self._result(id_, outcome) for id_, outcome in zip(ids, outcomes, strict=True)]

    def _claim_of(self, claim: Claim, id_: UUID) -> Claim:
        return Claim(claim.client_id, f"{claim.key}-{id_}", claim.fingerprint, self._remember)

    def _remember(self, outcome: Any) -> StoredAnswer:
        return StoredAnswer(200, msgspec.json.encode(self.sentence(outcome)))

    def _result(self, id_: UUID, outcome: Any) -> HoldResult:
        if isinstance(outcome, DomainError):
            return HoldResult(id_, False, self.wording_of(outcome))
        if isinstance(outcome, StoredAnswer):
            return HoldResult(id_, True, msgspec.json.decode(outcome.body, type=str))
        return HoldResult(id_, True, self.sentence(outcome))

    def tell(self, result: list[HoldResult]) -> str:
        return f"{result[0].short_id}: {result[0].text}"

    def done(self, result: list[HoldResult]) -> HttpResponse:
        """Show a message for a single hold; for chosen ones a page with the result of each."""
        if self.subject is not None:
            return super().done(result)
        context = {
            **self.model_admin.admin_site.each_context(self.request),
            "opts": self.model_admin.opts,
            "title": self.title,
            "done_to_many": self.done_to_many,
            "results": sorted(result, key=lambda one: one.is_done),
            "done_count": sum(one.is_done for one in result),
            "way_back": self.way_back(),
        }
        return TemplateResponse(self.request, "console/reservations/summary.html", context)


class ReleaseDialog(HoldsDialog):
    """Release holds."""

    title = _("Release this reservation")
    title_of_many = _("Release reservations")
    done_to_many = _("Released")
    intro = _("Its units are available to others at once. This can't be undone.")
    submit = _("Release")
    permission = "reservations.release_reservation"
    form_class = ReleaseForm
    is_final = True

    def act(self, actor: Actor, given: dict[str, Any], claims: Mapping[UUID, Claim]) -> Sequence[Any]:
        reason = given["reason"]
        return resolution.release_holds(
            [ReleaseRequest(actor, Selector(id_), reason, claim) for id_, claim in claims.items()]
        )

    def sentence(self, outcome: Any) -> str:
        (hold,) = outcome.holds
        if hold.released_at != outcome.now:
            return str(_("It had already expired: there was nothing to release."))
        units = units_of(hold)
        freed = ngettext("%(units)d unit is available again.", "%(units)d units are available again.", units)
        was_dead = f"{_('It had expired before.')} " if hold.status == Status.EXPIRED else ""
        return was_dead + freed % {"units": units}


class ExtendDialog(HoldsDialog):
    """Extend holds."""

    title = _("Extend this reservation")
    title_of_many = _("Extend reservations")
    done_to_many = _("Extended")
    intro = _("Adds these minutes to the reservation. It can be extended once.")
    submit = _("Extend")
    permission = "reservations.extend_reservation"
    form_class = ExtendForm

    def act(self, actor: Actor, given: dict[str, Any], claims: Mapping[UUID, Claim]) -> Sequence[Any]:
        minutes = given["minutes"]
        return extending.extend_holds(
            [ExtendRequest(actor, Selector(id_), minutes, claim) for id_, claim in claims.items()]
        )

    def sentence(self, outcome: Any) -> str:
        return str(_("Reserved until %(time)s.")) % {"time": shown_time(outcome.holds[0].expires_at)}


class ConsumeDialog(HoldsDialog):
    """Sell holds for an order."""

    title = _("Sell this reservation")
    title_of_many = _("Sell reservations")
    done_to_many = _("Sold")
    intro = _("Its units leave the stock for this order. This can't be undone.")
    submit = _("Sell")
    permission = "reservations.consume_reservation"
    form_class = ConsumeForm
    wordings: ClassVar[Mapping[str, LazyText]] = OVERRIDE_WORDINGS
    is_final = True

    def initial(self) -> dict[str, Any]:
        return {**super().initial(), "order_id": self.subject.order_id if self.subject is not None else None}

    def make_form(self, **arguments: Any) -> DialogForm:
        """Offer re-acquiring only to users of all warehouses, because its units may come from any of the store's."""
        form = super().make_form(**arguments)
        if not actor_of(self.request).sees_all_warehouses:
            del form.fields["reacquire"]
        offer_override(form, self.request, is_frozen=bool(frozen_holds(self._named())))
        return form

    def _named(self) -> list[UUID]:
        """The reservations that the dialog is about."""
        if self.subject is not None:
            return [self.subject.pk]
        sent = (parse_uuid(text) for text in self.request.POST.get("chosen", "").split(",")[:CHOSEN_AT_MOST])
        return [id_ for id_ in (*self.chosen, *sent) if id_]

    def act(self, actor: Actor, given: dict[str, Any], claims: Mapping[UUID, Claim]) -> Sequence[Any]:
        sell = partial(
            ConsumeRequest,
            actor,
            given["order_id"],
            reacquire=given.get("reacquire", False),
            freeze_override=given.get("freeze_override", ""),
        )
        return sell_by_hand([sell(Selector(id_), claim=claim) for id_, claim in claims.items()])

    def sentence(self, outcome: Any) -> str:
        (hold,) = outcome.holds
        units = units_of(hold)
        facts = {"units": units, "order": hold.order_id}
        if hold.consumed_at != outcome.now:
            return str(_("It was sold for order %(order)s before.")) % facts
        return (
            ngettext("%(units)d unit sold for order %(order)s.", "%(units)d units sold for order %(order)s.", units)
            % facts
        )


def units_of(hold: Hold) -> int:
    """The units of a hold."""
    return sum(item.quantity for item in hold.items)
