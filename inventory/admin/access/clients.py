"""API clients and their tokens in the console. Not in ``audit``, because the pages offer the stores as choices."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db import models
from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from audit import clients, hidden
from audit.actors import Actor
from audit.clients import Issued
from audit.console.base import ReadOnlyAdmin, ReadOnlyInline, actor_of, multiple_choice
from audit.console.dialogs import ChoiceField, Dialog, DialogForm
from audit.console.reach_form import ReachForm
from audit.console.service_forms import ServiceAdmin
from audit.console.wording import LazyText
from audit.idempotency import Claim, StoredAnswer
from audit.models import ApiClient, ApiToken
from audit.preconditions import Precondition
from inventory.models import Store


class TokenInline(ReadOnlyInline):
    """A client's tokens, by prefix."""

    model = ApiToken
    all_warehouses_only = True
    verbose_name_plural = _("Tokens")
    empty_hint = _("It has no token yet. The program needs one to call the API.")
    fields = ("prefix", "created_at", "expires_at", "last_used_at", "revoked_at")
    ordering = ("-id",)
    show_change_link = True


class ApiClientForm(ReachForm, forms.ModelForm):  # type: ignore[type-arg]
    """The form of a client, with all stores as choices."""

    many = "stores"
    undecided = _("Choose all stores, or only these.")
    stores = multiple_choice((), label=_("Only these"), help_text=_("At least one."))

    class Meta:
        model = ApiClient
        fields = ("name", "role")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        reach = cast(forms.ChoiceField, self.fields["reach"])
        reach.label, reach.choices = _("Stores"), [("all", _("All stores")), ("some", _("Only these"))]
        is_limited = self.instance._state.adding or self.instance.store_codes
        chosen = self.instance.store_codes if is_limited else None
        self.offer_places(Store.objects.order_by("code").values_list("code", "name"), chosen)

    def clean(self) -> Any:
        """Refuse a client of no store: it could do nothing, and an empty list is stored for all stores."""
        given = super().clean()
        if given.get("reach") == "some" and not given.get("stores") and "stores" not in self.errors:
            self.add_error("stores", _("Tick at least one store."))
        return given


class TokenForm(DialogForm):
    """The lifetime of a new token."""

    days = ChoiceField(
        label=_("Valid for"),
        choices=[("30", _("30 days")), ("90", _("90 days")), ("365", _("a year")), ("", _("until it is revoked"))],
        initial="90",
        required=False,
    )


class IssueTokenDialog(Dialog[Issued]):
    """Issue a token for a client."""

    title = _("Issue a token")
    intro = _("The token is shown once. Older tokens of this client go on working until they are revoked.")
    submit = _("Issue")
    permission = "audit.add_apitoken"
    form_class = TokenForm

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Issued | StoredAnswer:
        days = int(given["days"]) if given["days"] else None
        return clients.issue(actor, self.subject.pk, days=days, claim=claim)

    def tell(self, result: Issued) -> str:
        return str(_("The token %(prefix)s… was issued. It was shown then, and can't be shown again.")) % {
            "prefix": result.row.prefix
        }

    def done(self, result: Issued) -> HttpResponse:
        """Show the token on the page itself, since a message would be stored in a cookie."""
        context = {
            **self.model_admin.admin_site.each_context(self.request),
            "opts": self.model_admin.opts,
            "title": self.title,
            "issued": result,
            "way_back": self.way_back(),
        }
        return TemplateResponse(self.request, "console/token.html", context, headers={"Cache-Control": "no-store"})


class RevokeTokenDialog(Dialog[list[ApiToken]]):
    """Revoke a token."""

    title = _("Revoke this token")
    intro = _("Programs that use it lose access within seconds. This can't be undone.")
    submit = _("Revoke")
    permission = "audit.change_apitoken"
    is_final = True

    def about(self) -> list[tuple[Any, Any]]:
        return [(_("Client"), self.subject.client), (_("Token"), self.subject), (_("Last used"), self._last_used())]

    def _last_used(self) -> Any:
        return self.subject.last_used_at or _("never")

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> list[ApiToken] | StoredAnswer:
        return clients.revoke(actor, [self.subject.pk], claim=claim)

    def tell(self, result: list[ApiToken]) -> str:
        if not result:
            return str(_("%(token)s was revoked before.")) % {"token": self.subject}
        return str(_("%(token)s of %(client)s is revoked.")) % {"token": result[0], "client": result[0].client}


@admin.register(ApiClient)
class ApiClientAdmin(ServiceAdmin):
    """Programs that call the API."""

    form = ApiClientForm
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "client_name_taken": _("Another client has this name."),
    }
    all_warehouses_only = True
    of_canary: ClassVar[Mapping[str, UUID]] = {"pk": hidden.CLIENT_ID}
    empty_hint = _("No program calls the API yet. Add a client for it, then issue a token on the client's page.")
    list_display = ("name", "role", "store_list", "tokens_in_use", "last_used", "created_at")
    list_filter = ("role",)
    search_fields = ("name",)
    search_help_text = _("A part of the name, or an id")
    ordering = ("name",)
    fieldsets = ((None, {"fields": ("name", "role", "reach", "stores")}),)
    inlines = (TokenInline,)
    actions_detail = ("issue_token",)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """For users who may only view, show the stores as one line of text."""
        if obj is None or self.has_change_permission(request, obj):
            return self.fieldsets
        return ((None, {"fields": ("name", "role", "store_list")}),)

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return self.inlines if obj else ()

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A name can't be changed, because audit entries refer to the client by it."""
        return ("name", "store_list") if obj else ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiClient]:
        usable = Q(tokens__revoked_at__isnull=True) & (
            Q(tokens__expires_at__isnull=True) | Q(tokens__expires_at__gt=Now())
        )
        found: QuerySet[ApiClient] = super().get_queryset(request)
        return found.annotate(
            usable=models.Count("tokens", filter=usable), last_used=models.Max("tokens__last_used_at")
        )

    def store(self, request: HttpRequest, form: Any, formsets: list[Any], precondition: Precondition) -> Model:
        given = form.cleaned_data
        saved = clients.put_client(
            actor_of(request),
            form.instance.pk,
            name=form.instance.name,
            role=given["role"],
            precondition=precondition,
            store_codes=form.codes() or [],
        )
        return cast(Model, saved)

    issue_token = IssueTokenDialog.as_action(url_path="issue-token", icon="key")

    @admin.display(description=_("stores"))
    def store_list(self, client: ApiClient) -> str:
        return ", ".join(client.store_codes) or str(_("all"))

    @admin.display(description=_("tokens in use"), ordering="usable")
    def tokens_in_use(self, client: ApiClient) -> int:
        return int(getattr(client, "usable", 0))

    @admin.display(description=_("last used"), ordering="last_used")
    def last_used(self, client: ApiClient) -> Any:
        return getattr(client, "last_used", None)


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Tokens, by prefix. Tokens and their digests are never shown."""

    all_warehouses_only = True
    of_canary: ClassVar[Mapping[str, UUID]] = {"client": hidden.CLIENT_ID}
    empty_hint = _("No token yet. Issue one on an API client's page.")
    list_display = ("prefix", "client", "created_at", "expires_at", "revoked_at", "last_used_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), "client__role")
    list_select_related = ("client",)
    search_fields = ("prefix", "client__name")
    search_help_text = _("A part of the prefix or of the client's name, or an id")
    ordering = ("-id",)
    fields = ("id", *list_display)
    actions_row = actions_detail = ("revoke",)

    revoke = RevokeTokenDialog.as_action(url_path="revoke", icon="block", label=_("Revoke"))
