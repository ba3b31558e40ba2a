"""Dialogs on a webhook: test, pause, resume, send again, replace the secret, delete."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _

from audit.actors import Actor
from audit.console.base import text_field
from audit.console.dialogs import ChoiceField, Dialog, DialogForm
from audit.console.texts import CodeField
from audit.console.times import TimeField
from audit.idempotency import Claim, StoredAnswer
from audit.identifiers import parse_copied_id
from audit.webhooks import managing
from audit.webhooks.managing import Changed, Queued
from inventory.services.access.webhooks import change_webhook

_CHANGE = "audit.change_webhooksubscription"


class SendTestDialog(Dialog[Queued]):
    """Send a test event."""

    title = _("Send a test event")
    intro = _("It is sent once. The list of attempts shows what the receiver answered.")
    submit = _("Send")
    permission = _CHANGE

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Queued | StoredAnswer:
        return managing.send_test(actor, self.subject.pk, claim=claim)

    def tell(self, result: Queued) -> str:
        return str(_("A test event is on its way to %(name)s.")) % {"name": result.webhook}


class PauseDialog(Dialog[Changed]):
    """Pause a webhook."""

    title = _("Pause")
    intro = _("Events wait until the webhook is resumed. Nothing is lost as long as events are kept.")
    submit = _("Pause")
    permission = _CHANGE
    status = "paused"

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Changed | StoredAnswer:
        return change_webhook(actor, self.subject.pk, {"status": self.status}, claim=claim)

    def tell(self, result: Changed) -> str:
        return str(_("%(name)s is paused.")) % {"name": result.webhook}


class ResumeDialog(PauseDialog):
    """Resume a webhook that is paused or disabled."""

    title = _("Resume")
    intro = _("It goes on where it stopped, and sends at once what waits.")
    submit = _("Resume")
    status = "active"

    def tell(self, result: Changed) -> str:
        return str(_("%(name)s is active.")) % {"name": result.webhook}


class ResendForm(DialogForm):
    """What is to be sent again."""

    what = ChoiceField(
        label=_("Send again"),
        choices=[
            ("failed", _("What was given up or waits for another attempt")),
            ("time", _("All events of a time")),
            ("event", _("One event")),
        ],
    )
    since = TimeField(label=_("From"), required=False, help_text=_("For all events of a time."))
    until = TimeField(label=_("To"), required=False, help_text=_("Empty for all until now."))
    event = text_field(80, kind=CodeField, label=_("Event"), help_text=_("Its id, ev-…, for one event."))

    def clean(self) -> Any:
        """Require what the choice needs."""
        given = super().clean() or self.cleaned_data
        what = given.get("what")
        if what == "time" and not given.get("since") and "since" not in self.errors:
            self.add_error("since", _("From when?"))
        if what == "event" and not parse_copied_id(given.get("event") or ""):
            self.add_error("event", _("The id of an event looks like ev-0199a3c5-7c1e-7d7a-9d40-1f6f0f9b2a11."))
        return given


class ResendDialog(Dialog[Queued]):
    """Send events again."""

    title = _("Send again")
    intro = _("Events come with the ids that they had: receivers leave out those that they have.")
    submit = _("Send again")
    permission = _CHANGE
    form_class = ResendForm

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Queued | StoredAnswer:
        webhook_id = self.subject.pk
        if given["what"] == "event":
            event_id = parse_copied_id(given["event"]) or UUID(int=0)
            return managing.resend_event(actor, webhook_id, event_id, claim=claim)
        if given["what"] == "time":
            return managing.resend_since(actor, webhook_id, given["since"], given["until"], claim=claim)
        return managing.resend_failed(actor, webhook_id, claim=claim)

    def tell(self, result: Queued) -> str:
        if result.count is not None:
            return str(_("Events sent again: %(count)s.")) % {"count": result.count}
        return str(_("Events are sent again to %(name)s.")) % {"name": result.webhook}


class ReplaceSecretForm(DialogForm):
    """How long the old secret is valid."""

    hours = ChoiceField(
        label=_("The old secret signs for another"),
        choices=[("24", _("24 hours")), ("168", _("7 days")), ("1", _("hour")), ("0", _("0 seconds: others know it"))],
        initial="24",
    )


class ReplaceSecretDialog(Dialog[Changed]):
    """Replace the signing keys."""

    title = _("Replace the secret")
    intro = _("The new secret is shown once. Until the old one ends, events are signed with both.")
    submit = _("Replace")
    permission = _CHANGE
    form_class = ReplaceSecretForm

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Changed | StoredAnswer:
        return managing.rotate(actor, self.subject.pk, overlap_hours=int(given["hours"]), claim=claim)

    def tell(self, result: Changed) -> str:
        return str(_("The secret of %(name)s was replaced. The new one was shown then, and can't be shown again.")) % {
            "name": result.webhook
        }

    def done(self, result: Changed) -> HttpResponse:
        """Show the secret on the page itself, since a message would be stored in a cookie."""
        from inventory.admin.access.webhooks import show_secret  # noqa: PLC0415 - that module is made of this one

        return show_secret(self.model_admin, self.request, result)


class DeleteDialog(Dialog[None]):
    """Delete a webhook."""

    title = _("Delete this webhook")
    intro = _("What waits to be sent is deleted, too. To stop sending for a while, pause it. This can't be undone.")
    submit = _("Delete")
    permission = "audit.delete_webhooksubscription"
    is_final = True

    def about(self) -> list[tuple[Any, Any]]:
        return [(_("Webhook"), self.subject), (_("Address"), self.subject.url)]

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> None | StoredAnswer:
        return managing.delete(actor, self.subject.pk, claim=claim)

    def tell(self, result: None) -> str:
        return str(_("%(name)s was deleted.")) % {"name": self.subject}

    def done(self, result: None) -> HttpResponse:
        """Go to the list: the page of the webhook is gone."""
        self.subject = None
        return super().done(result)
