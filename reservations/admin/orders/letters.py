"""Console pages of dead letters and of received events."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from audit.actors import Actor
from audit.console.base import ReadOnlyAdmin, badge, in_pairs, non_empty_fields, pretty_json
from audit.console.dialogs import Dialog, WhyForm
from audit.console.wording import LazyText
from audit.display import NOTHING, shown_id
from audit.idempotency import Claim, StoredAnswer
from audit.models import ApiClient
from reservations.models import DeadLetter, ReceivedEvent
from reservations.models.orders import Result
from reservations.services.orders import settling
from reservations.services.orders.memory import Outcome
from reservations.services.orders.settling import SettleRequest

_SHOWN: Final = 20_000
_RESULTS: Mapping[str, str] = {
    Result.APPLIED: "success",
    Result.UNCHANGED: "info",
    Result.REMEMBERED: "info",
    Result.REFUSED: "warning",
}


class _LetterDialog(Dialog[Outcome]):
    """A dialog for a dead letter that waits."""

    permission = "reservations.settle_deadletter"
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "not_found": _("It was replayed or discarded before."),
        "permission_denied": _("Only people who work in all warehouses may do this."),
    }

    def about(self) -> list[tuple[LazyText, Any]]:
        letter: DeadLetter = self.subject
        return [(_("Event"), letter.type or NOTHING), (_("From"), letter.place), (_("Reason"), letter.reason)]


class ReplayDialog(_LetterDialog):
    """The dialog that receives a dead letter again."""

    title = _("Replay this event")
    intro = _("The event is received again, as if it came now. If it was applied meanwhile, nothing changes.")
    submit = _("Replay")

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Outcome | StoredAnswer:
        return settling.replay_letter(SettleRequest(actor, self.subject.pk, claim=claim))

    def tell(self, result: Outcome) -> str:
        facts = {"result": str(Result(result.result).label).lower(), "detail": result.detail}
        return (str(_("The event was received: %(result)s. %(detail)s")) % facts).strip()


class DiscardDialog(_LetterDialog):
    """The dialog that discards a dead letter."""

    title = _("Discard this event")
    intro = _("The event is not wanted: nothing of it is done.")
    submit = _("Discard")
    is_final = True
    form_class = WhyForm

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Outcome | StoredAnswer:
        return settling.discard_letter(SettleRequest(actor, self.subject.pk, given["reason"], claim))

    def tell(self, result: Outcome) -> str:
        return str(_("The event is discarded."))


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """The list and the page of dead letters, the newest first."""

    all_warehouses_only = True
    list_display = ("short_id", "state", "type", "code", "place", "received_at")
    list_filter = ("status",)
    search_fields = ("type__exact", "event_id__exact", "code__exact")
    search_help_text = _("The type, the id or the reason's code of an event")
    ordering = ("-received_at", "-id")
    empty_hint = _("No dead letter: every event that came was understood.")
    empty_hints: ClassVar = {
        "status__exact=WAITING": _("No dead letter waits. Those that are settled are under Filters.")
    }
    actions_row = actions_detail = ("replay", "discard")

    replay = ReplayDialog.as_action(url_path="replay", icon="replay", label=_("Replay"))
    discard = DiscardDialog.as_action(url_path="discard", icon="delete", label=_("Discard"))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Hide who settled it while it waits."""
        facts = ["whole_id", "state", "type", "event_id", "place", "client", "received_at", "code"]
        ends = non_empty_fields(obj, "settled_by", "settled_at") if obj else ["settled_by", "settled_at"]
        return [*in_pairs([*facts, *ends]), "reason", "what"]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer no actions for a letter that is settled."""
        letter = self.get_object(request, str(object_id))
        if letter is None or letter.status != DeadLetter.Status.WAITING:
            return []
        offered: list[Any] = super().get_actions_detail(request, object_id)
        return offered

    @badge(
        _("status"),
        {
            DeadLetter.Status.WAITING: "danger",
            DeadLetter.Status.REPLAYED: "success",
            DeadLetter.Status.DISCARDED: "info",
        },
        ordering="status",
    )
    def state(self, letter: DeadLetter) -> tuple[str, str]:
        return letter.status, letter.get_status_display()

    @admin.display(description=_("letter"), ordering="id")
    def short_id(self, letter: DeadLetter) -> SafeString:
        return shown_id(str(letter.pk))

    @admin.display(description=_("letter"))
    def whole_id(self, letter: DeadLetter) -> SafeString:
        return shown_id(str(letter.pk))

    @admin.display(description=_("client"))
    def client(self, letter: DeadLetter) -> str:
        found = ApiClient.objects.filter(pk=letter.client_id).first()
        return found.name if found else NOTHING

    @admin.display(description=_("message"))
    def what(self, letter: DeadLetter) -> SafeString:
        body = bytes(letter.message)
        return format_html(
            "<pre>{}</pre>", body[:_SHOWN].decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
        )


@admin.register(ReceivedEvent)
class ReceivedEventAdmin(ReadOnlyAdmin):
    """The list and the page of received events, the newest first."""

    all_warehouses_only = True
    list_display = ("event_id", "type", "subject", "state", "received_at")
    list_filter = ("result", "type")
    search_fields = ("event_id__exact", "subject__exact")
    search_help_text = _("The id of an event, or the order or product that it is about")
    ordering = ("-received_at", "-id")
    empty_hint = _("No event was received. Other systems send them to the inbox.")
    fields = (("event_id", "source"), ("type", "subject"), ("state", "received_at"), "what")

    @badge(_("outcome"), dict(_RESULTS), ordering="result")
    def state(self, event: ReceivedEvent) -> tuple[str, str]:
        return event.result, event.get_result_display()

    @admin.display(description=_("details"))
    def what(self, event: ReceivedEvent) -> SafeString:
        return pretty_json(event.outcome)
