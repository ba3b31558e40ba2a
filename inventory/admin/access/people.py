"""Accounts of staff in the console, with their groups and warehouses."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast
from uuid import UUID

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User
from django.db.models import Case, Count, QuerySet, When
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from audit.console.base import ConsoleAdmin, ReadOnlyAdmin, actor_of, multiple_choice
from audit.console.filters import link
from audit.console.reach_form import ReachForm
from audit.models import StaffAccess
from audit.roles import STAFF_GROUPS
from inventory.models import Warehouse
from inventory.services.access.people import put_access, record_password
from inventory.services.low_stock.subscriptions import deliverable

admin.site.unregister(User)
admin.site.unregister(Group)

_SECRET = frozenset({"password", "password1", "password2", "usable_password"})
_NAME_HINT: Final = _("Letters, digits and @ . + - _; the audit log shows it.")
_WORDS: Final[dict[str, tuple[Any, Any]]] = {
    "username": (_("Username"), _NAME_HINT),
    "first_name": (_("First name"), ""),
    "last_name": (_("Last name"), ""),
    "email": (_("E-mail"), _("Mail about low stock goes there, once the person asks for it in Alerts.")),
    "is_active": (
        _("Active"),
        _("Switch off for people who leave. Nothing is deleted, and the audit log keeps the name."),
    ),
    "is_staff": (_("May open this console"), _("Required to use the console.")),
    "groups": (_("Groups"), _("What the account may do; one of them is enough.")),
    "is_superuser": (
        _("May do everything"),
        _("All permissions, in the warehouses of the account, whatever its groups."),
    ),
    "user_permissions": (
        _("Single permissions"),
        _("In addition to those of the groups. Hold Ctrl or ⌘ to choose several."),
    ),
}
"""Label and hint of each field of an account, which replace Django's technical ones."""

_TO_READ: Final = ("account", "name", "email", "in_groups", "sees", "active", "mails", ("last_login", "date_joined"))
_GROUP_HINTS: Final = {group.name: group.hint for group in STAFF_GROUPS}


class _GroupsField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
    """A choice of groups, each with its hint."""

    def label_from_instance(self, obj: Any) -> str:
        hint = _GROUP_HINTS.get(obj.name)
        return f"{obj.name} – {hint}" if hint else str(obj.name)


def reword(fields: Mapping[str, forms.Field]) -> None:
    """Set labels and hints of a form's fields from ``_WORDS``."""
    for name, (label, hint) in _WORDS.items():
        if name in fields:
            fields[name].label, fields[name].help_text = label, hint


class WarehousesForm(ReachForm):
    """The warehouses of an account."""

    many = "warehouses"
    undecided = _("Choose all warehouses, or only these.")
    warehouses = multiple_choice(
        (), label=_("Only these"), help_text=_("If none is ticked, the account sees no warehouse.")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        reach = cast(forms.ChoiceField, self.fields["reach"])
        reach.label, reach.choices = _("Warehouses"), [("all", _("All warehouses")), ("some", _("Only these"))]

    def offer_warehouses(self, chosen: Sequence[str] | None = ()) -> None:
        """Offer all warehouses, with these ticked."""
        self.offer_places(Warehouse.objects.order_by("code").values_list("code", "name"), chosen)


class NewPersonForm(WarehousesForm, UserCreationForm):  # type: ignore[misc]
    """The form of a new account, without Django's choice of login by password: all accounts have one."""

    usable_password = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        reword(self.fields)
        self.offer_warehouses()
        self.fields["password1"].required = self.fields["password2"].required = True
        self.fields["password2"].label = _("Password again")
        self.fields["password2"].help_text = ""
        self._hash = ""

    def hash_password(self) -> str:
        """The hash of a valid form's password."""
        return make_password(self.cleaned_data["password1"])

    def use_hash(self, hashed: str) -> None:
        """Save this hash, which ``hash_password`` made of the same password, instead of making another."""
        self._hash = hashed

    def set_password_and_save(self, user: User, *args: Any, commit: bool = True, **kwargs: Any) -> User:
        if not self._hash:
            saved: User = super().set_password_and_save(user, *args, commit=commit, **kwargs)
            return saved
        user.password = self._hash
        if commit:
            user.save()
        return user


class PersonForm(WarehousesForm, UserChangeForm):  # type: ignore[misc]
    """The form of an account."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        reword(self.fields)
        self.offer_warehouses(StaffAccess.of(self.instance).codes)
        if "reach" in self.fields:
            self.initial["reach"] = self.initial["reach"] or "some"


@admin.register(User)
class PersonAdmin(DjangoUserAdmin, ConsoleAdmin):  # type: ignore[type-arg]
    """Accounts of staff. Accounts are deactivated, never deleted: audit entries refer to them for years."""

    form = PersonForm
    add_form = NewPersonForm
    change_password_form = AdminPasswordChangeForm
    all_warehouses_only = True
    id_fields = ()
    list_display = ("username", "name", "in_groups", "sees", "is_active", "last_login")
    list_filter = ("is_active", "groups")
    list_select_related = ("staff_access",)
    search_fields = ("username", "first_name", "last_name", "email")
    search_help_text = _("A part of the name or address")
    ordering = ("username",)
    readonly_fields = (
        "password_set",
        "account",
        "name",
        "in_groups",
        "sees",
        "active",
        "mails",
        "last_login",
        "date_joined",
    )
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("username", "password_set", ("first_name", "last_name"), "email")}),
        (_("May do"), {"fields": (("is_active", "is_staff"), "groups", "reach", "warehouses")}),
        (_("For reference"), {"fields": ("mails", ("last_login", "date_joined"))}),
    )
    add_fieldsets = ((None, {"fields": ("username", "password1", "password2", "reach", "warehouses")}),)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Only superusers may give permissions beyond those of groups. Users who may only view see lines of text."""
        if obj is None:
            return self.add_fieldsets
        if not self.has_change_permission(request, obj):
            return ((None, {"fields": _TO_READ}),)
        if request.user.is_superuser:
            extra = (_("Beyond the groups"), {"fields": ("is_superuser", "user_permissions"), "classes": ("collapse",)})
            return (*self.fieldsets, extra)
        return self.fieldsets

    def trail_subject(self, row: User) -> UUID | None:
        """The id of the account's access: accounts have numbers for ids."""
        return StaffAccess.objects.filter(user=row.pk).values_list("pk", flat=True).first()

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("groups")

    def has_history(self) -> bool:
        return True

    def history_of(self, request: HttpRequest, row: Any) -> dict[UUID, str]:
        """The entries of an account are about its access to warehouses."""
        return dict.fromkeys(StaffAccess.objects.filter(user=row).values_list("pk", flat=True), "")

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            by_rank = Case(*(When(name=name, then=rank) for rank, name in enumerate(_GROUP_HINTS)), default=9)
            groups = Group.objects.order_by(by_rank, "name")
            kwargs |= {
                "widget": UnfoldAdminCheckboxSelectMultipleWidget(),
                "form_class": _GroupsField,
                "queryset": groups,
            }
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only superusers may change superusers: others could set their password and gain all permissions."""
        is_above = obj is not None and obj.is_superuser and not request.user.is_superuser
        return not is_above and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @method_decorator(sensitive_post_parameters())
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Hash the password of a valid form first: Django opens the transaction of a new account before it reads the
        form, and would hold a connection for the half second that hashing takes."""
        if request.method == "POST" and self.has_add_permission(request):
            form = self.get_form(request)(request.POST)
            if form.is_valid():
                request.hashed_password = form.hash_password()  # type: ignore[attr-defined]
        answer: HttpResponse = super().add_view(request, form_url, extra_context)
        return answer

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        if not change:
            form.use_hash(getattr(request, "hashed_password", ""))
        return super().save_form(request, form, change)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Make a new account one of staff."""
        if not change:
            obj.is_staff = True
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        changed = [name for name in form.changed_data if name not in _SECRET | {"reach", "warehouses"}]
        changes: dict[str, Any] = {name: _plain(form.cleaned_data.get(name)) for name in changed}
        if change:
            changes = {name: [_plain(form.initial.get(name)), value] for name, value in changes.items()}
        put_access(
            actor_of(request),
            form.instance.pk,
            warehouse_codes=form.codes(),
            is_new=not change,
            account_changes={"username": form.instance.username, **changes} if changes or not change else {},
        )

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write no log entry of Django: the service has written an audit entry."""

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write no log entry of Django: the service has written an audit entry."""

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002
        """Also record that the password was set."""
        answer: HttpResponse = super().user_change_password(request, id, form_url)
        if request.method == "POST" and answer.status_code == 302:
            record_password(actor_of(request), int(id))
        return answer

    @admin.display(description=_("username"))
    def account(self, user: User) -> str:
        return user.get_username()

    @admin.display(description=_("active"), boolean=True)
    def active(self, user: User) -> bool:
        return user.is_active

    @admin.display(description=_("password"))
    def password_set(self, user: User) -> SafeString:
        """Whether a password is set, and a link to set another. Nothing of the hash is shown."""
        is_set = _("It is set.") if user.has_usable_password() else _("Not set: this account can't log in.")
        address = reverse("admin:auth_user_password_change", args=[user.pk])
        return format_html("{} {}", is_set, link(_("Set a new one"), address))

    @admin.display(description=_("mail"))
    def mails(self, user: User) -> str:
        """The mails that the account gets now, and where they go."""
        found = deliverable().filter(user=user).order_by("warehouse__code").values_list("warehouse__code", flat=True)
        codes = list(found)
        if not codes:
            return str(_("None. Members of staff ask for mail about low stock under Alerts, Mail me."))
        return str(_("Low stock in %(codes)s, to %(address)s")) % {"codes": ", ".join(codes), "address": user.email}

    @admin.display(description=_("name"))
    def name(self, user: User) -> str:
        return user.get_full_name() or "–"

    @admin.display(description=_("groups"))
    def in_groups(self, user: User) -> str:
        names = ", ".join(group.name for group in user.groups.all())
        return names or (str(_("everything")) if user.is_superuser else "–")

    @admin.display(description=_("warehouses"))
    def sees(self, user: User) -> str:
        return str(getattr(user, "staff_access", None) or StaffAccess(all_warehouses=user.is_superuser))


def _plain(value: Any) -> Any:
    if isinstance(value, str | bool | int | None):
        return value
    return sorted(str(row) for row in value) if hasattr(value, "__iter__") else str(value)


@admin.register(Group)
class GroupAdmin(ReadOnlyAdmin):
    """The groups and their permissions, read only: they are defined by the service."""

    all_warehouses_only = True
    id_fields = ()
    list_display = ("name", "members")
    search_fields = ("name",)
    ordering = ("name",)
    fields = ("name", "may")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        groups: QuerySet[Group] = super().get_queryset(request)
        return groups.annotate(members=Count("user"))

    @admin.display(description=_("may"))
    def may(self, group: Group) -> SafeString:
        """The permissions of its members, one per line."""
        names = group.permissions.order_by("content_type__app_label", "name").values_list("name", flat=True)
        return format_html_join(mark_safe("<br>"), "{}", ((name.removeprefix("Can "),) for name in names))

    @admin.display(description=_("members"))
    def members(self, group: Group) -> int:
        return cast(int, getattr(group, "members", 0))
