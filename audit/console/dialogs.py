"""Dialogs: a form for one action, sent once.

A dialog is a page of its own, which works on a phone and without scripts; ``console.js`` shows it over the list where
it can. What makes "once" true is the service's idempotency claim: each opened form carries a key of its own, so that a
double click, a reload or a second tab gets the first answer again and does nothing twice.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Final, Generic, TypeVar
from uuid import UUID, uuid5

import msgspec
from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from msgspec.structs import replace
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.console.base import actor_of, claimant_of, staff_action
from audit.console.wording import LazyText, Worded
from audit.errors import DomainError
from audit.idempotency import Claim, StoredAnswer, fingerprint

DIALOG_KEY: Final = "dialog-"
"""How the idempotency keys of the console begin."""
_TOGETHER: Final = UUID("b3a0c1de-52f7-5c0e-8d0a-7f1e94d3a26b")
R = TypeVar("R")


class DialogForm(forms.Form):
    """What every dialog asks for. ``once`` is the key by which a form that is sent twice is known."""

    once = forms.UUIDField(widget=forms.HiddenInput)


class QuantityField(forms.IntegerField):
    """Units, as a phone's number pad types them. Signed ones take a minus."""

    def __init__(self, *, signed: bool = False, **options: Any) -> None:
        pad = {"inputmode": "text" if signed else "numeric", "autocomplete": "off"}
        limits = {"min_value": -2_000_000_000 if signed else 1, "max_value": 2_000_000_000}
        widget = UnfoldAdminIntegerFieldWidget(attrs=pad)
        super().__init__(**{"label": _("Quantity"), "widget": widget, **limits, **options})


class ReasonField(forms.CharField):
    """Why something is done, in the words of who does it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            **{
                "label": _("Reason"),
                "max_length": 500,
                "widget": UnfoldAdminTextInputWidget(),
                "strip": True,
                **options,
            }
        )


class WhyForm(DialogForm):
    """Why something is done, which need not be said."""

    reason = ReasonField(required=False)


class ReferenceField(forms.CharField):
    """The number of the paper that goes with it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            **{
                "label": _("Reference"),
                "help_text": _("A delivery note, an order or a ticket; may stay empty."),
                "max_length": 100,
                "required": False,
                "widget": UnfoldAdminTextInputWidget(),
                **options,
            }
        )


class ChoiceField(forms.ChoiceField):
    """One of a few."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"widget": UnfoldAdminSelectWidget(), **options})


class Dialog(Worded, ABC, Generic[R]):
    """One action on one row (or on none), from its form to its message.

    A subclass gives the texts, the form, the permission and ``perform``, and ``wordings`` for what it may refuse. ``R``
    is what its service returns. A model's admin offers it as an action::

        receive = ReceiveDialog.as_action(url_path="receive", icon="input")
    """

    title: ClassVar[LazyText]
    intro: ClassVar[LazyText] = ""
    submit: ClassVar[LazyText] = _("Save")
    permission: ClassVar[str]
    form_class: ClassVar[type[DialogForm]] = DialogForm
    is_final: ClassVar[bool] = False
    """Whether it can't be undone: the button is red then."""
    template: ClassVar[str] = "console/dialog.html"
    is_page: ClassVar[bool] = False
    """Whether it is always a page of its own, never shown over the list."""

    @classmethod
    def as_action(cls, *, url_path: str, icon: str, label: LazyText | None = None) -> Callable[..., HttpResponse]:
        """An action of a row, a page or a list that opens this dialog. It needs the dialog's permission, and its label
        is the dialog's title unless one is given.
        """

        @staff_action(
            cls.title if label is None else label,
            url_path=url_path,
            icon=icon,
            permission=cls.permission,
            is_dialog=not cls.is_page,
        )
        def open_dialog(
            model_admin: "ModelAdmin[Any]", request: HttpRequest, object_id: str | None = None
        ) -> HttpResponse:
            return cls(model_admin, request, object_id).answer()

        return open_dialog

    def __init__(self, model_admin: "ModelAdmin[Any]", request: HttpRequest, object_id: str | None = None) -> None:
        self.model_admin = model_admin
        self.request = request
        self.subject: Any = self._find(object_id)

    def _find(self, object_id: str | None) -> Model | None:
        """The row, if it is in the user's reach. Raises Http404."""
        if object_id is None:
            return None
        found: Model | None = self.model_admin.get_object(self.request, object_id)
        if found is None:
            raise Http404
        return found

    # ------------------------------------------------------------------------ what a subclass gives, and may give

    def initial(self) -> dict[str, Any]:
        """What the form begins with."""
        return {}

    def about(self) -> list[tuple[LazyText, Any]]:
        """Facts to see above the form: names and values."""
        return []

    @abstractmethod
    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> R | StoredAnswer:
        """Call the service. Raises DomainError, which is shown at the form."""

    @abstractmethod
    def tell(self, result: R) -> str:
        """What happened, in a sentence: "20 → 30 on hand, 28 available"."""

    def tell_again(self, result: R) -> str:
        """What is told to a form that is sent a second time. Kept in the database: no secrets here."""
        return self.tell(result)

    def refuse(self, form: DialogForm, error: DomainError) -> None:
        """Say at the form why nothing was done."""
        form.add_error(None, self.wording_of(error))

    def done(self, result: R) -> HttpResponse:
        """The answer to a form that did something."""
        messages.success(self.request, self.tell(result))
        return redirect(self.way_back())

    # ------------------------------------------------------------------------------------------------- from here on

    def answer(self) -> HttpResponse:
        """The page, or what came of the form that was sent. Raises PermissionDenied."""
        if not self.request.user.has_perm(self.permission):
            raise PermissionDenied
        if self.request.method != "POST":
            return self._page(self.make_form(initial={"once": uuid7(), **self.initial()}))
        form = self.make_form(data=self.request.POST)
        if not form.is_valid():
            return self._page(form, status=422)
        try:
            result = self.perform(actor_of(self.request), form.cleaned_data, self._claim(form))
        except DomainError as error:
            self.refuse(form, error)
            return self._page(form, status=422)
        if isinstance(result, StoredAnswer):
            messages.success(self.request, msgspec.json.decode(result.body, type=str))
            return redirect(self.way_back())
        return self.done(result)

    @property
    def address(self) -> str:
        """Where the form is sent."""
        return self.request.path

    def make_form(self, **arguments: Any) -> DialogForm:
        """The form; a subclass may limit its choices here."""
        return self.form_class(**arguments)

    def way_back(self) -> str:
        """Where the dialog was opened, if it says so, else the row's page or the list."""
        asked = self.request.POST.get("next") or self.request.GET.get("next") or ""
        if asked and url_has_allowed_host_and_scheme(asked, {self.request.get_host()}, self.request.is_secure()):
            return asked
        opts = self.model_admin.opts
        name = f"{self.model_admin.admin_site.name}:{opts.app_label}_{opts.model_name}"
        if self.subject is None:
            return reverse(f"{name}_changelist")
        return reverse(f"{name}_change", args=[self.subject.pk])

    def _claim(self, form: DialogForm) -> Claim:
        given = {name: str(value) for name, value in form.cleaned_data.items()}
        print_ = fingerprint("POST", self.request.path, msgspec.json.encode(given, order="deterministic"))
        key = f"{DIALOG_KEY}{form.cleaned_data['once']}"
        return Claim(claimant_of(self.request), key, print_, self._render)

    def _render(self, result: R) -> StoredAnswer:
        return StoredAnswer(200, msgspec.json.encode(self.tell_again(result)))

    def _page(self, form: DialogForm, status: int = 200) -> HttpResponse:
        context = {
            **self.model_admin.admin_site.each_context(self.request),
            "opts": self.model_admin.opts,
            "title": self.title,
            "subtitle": str(self.subject) if self.subject is not None else None,
            "dialog": self,
            "form": form,
            "facts": self.about(),
            "way_back": self.way_back(),
        }
        return TemplateResponse(self.request, self.template, context, status=status)


class SharedDialog(Dialog[R]):
    """A dialog on a row that several people, or tabs, may have open at the same time.

    Its key is made of the row's ``state`` when it was opened, and is the same for everybody: who acts first on a state
    acts alone. Who sends the same figures after that gets the first answer again, who sends others is refused.
    """

    @abstractmethod
    def state(self) -> str:
        """What this dialog is about to change. It must never come back once it has changed."""

    def initial(self) -> dict[str, Any]:
        return {"once": uuid5(_TOGETHER, f"{self.request.path} {self.state()}")}

    def _claim(self, form: DialogForm) -> Claim:
        own = super()._claim(form)
        return replace(own, client_id=_TOGETHER, key=f"{own.key}-{self.subject.pk}")
