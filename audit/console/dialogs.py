"""Dialogs: a form for one action, sent once.

A dialog is a page of its own, which works on a phone and without scripts; ``console.js`` shows it over the list where
it can. Each opened form carries an idempotency key of its own, so that a double click, a reload or a second tab gets
the first answer again and nothing is done twice.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ClassVar, Final, Generic, TypeVar
from uuid import UUID, uuid5

import msgspec
from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from msgspec.structs import replace
from unfold.decorators import action
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.console.base import ConsoleAdmin, actor_of, claimant_of, reach_of
from audit.console.doubts import SURE, Doubt, answer_to
from audit.console.texts import CodeField, NoteField
from audit.console.wording import LazyText, Worded
from audit.errors import DomainError
from audit.idempotency import Claim, StoredAnswer, fingerprint

DIALOG_KEY: Final = "dialog-"
"""The prefix of the console's idempotency keys."""
SENT_BEFORE: Final = _("This form was sent before: nothing was booked twice.")
_TOGETHER: Final = UUID("b3a0c1de-52f7-5c0e-8d0a-7f1e94d3a26b")
F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")


def staff_action(
    description: Any, *, url_path: str, permission: str, icon: str = "", is_dialog: bool = False
) -> Callable[[F], F]:
    """An action of a row or page (``actions_row``, ``actions_detail``) with an address and a permission of its own.

    ``permission`` is a full name, such as ``inventory.receive_stock``. Whoever may not open the list may not use its
    actions, either: addresses can be guessed. An ``is_dialog`` action opens over the page. For an action that only
    opens a dialog use ``Dialog.as_action``.
    """
    attributes = {"data-dialog": ""} if is_dialog else {}
    made: Callable[[F], F] = action(
        description=description, url_path=url_path, permissions=[permission], icon=icon or None, attrs=attributes
    )

    def offered(method: Any) -> Any:
        @wraps(method)
        def asked(model_admin: ConsoleAdmin, request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponse:
            model_admin.require_view(request)
            answer: HttpResponse = method(model_admin, request, *arguments, **named)
            return answer

        return made(asked)

    return offered


class DialogForm(forms.Form):
    """The base of every dialog's form. ``once`` is the idempotency key, which recognises a form that is sent twice."""

    once = forms.UUIDField(widget=forms.HiddenInput)


class ReasonField(NoteField):
    """A reason in the user's own words."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            **{
                "label": _("Reason"),
                "max_length": 500,
                "widget": UnfoldAdminTextInputWidget(),
                **options,
            }
        )


class WhyForm(DialogForm):
    """A form with an optional reason."""

    reason = ReasonField(required=False)


class ReferenceField(CodeField):
    """The number of an accompanying document, such as a delivery note."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            **{
                "label": _("Reference"),
                "help_text": _("Delivery note, order or ticket number. Optional."),
                "max_length": 100,
                "required": False,
                "widget": UnfoldAdminTextInputWidget(),
                **options,
            }
        )


class ChoiceField(forms.ChoiceField):
    """A choice of one value, as a select box."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"widget": UnfoldAdminSelectWidget(), **options})


class Dialog(Worded, ABC, Generic[R]):
    """One action on one row (or on none), from its form to its message.

    A subclass defines the texts, the form, the permission and ``perform``, and ``wordings`` for errors. ``R`` is the
    result type of its service. A model's admin offers it as an action::

        receive = ReceiveDialog.as_action(url_path="receive", icon="input")
    """

    title: ClassVar[LazyText]
    intro: ClassVar[LazyText] = ""
    submit: ClassVar[LazyText] = _("Save")
    permission: ClassVar[str]
    form_class: ClassVar[type[DialogForm]] = DialogForm
    is_final: ClassVar[bool] = False
    """Whether the action can't be undone: its button is red."""
    template: ClassVar[str] = "console/dialog.html"
    is_page: ClassVar[bool] = False
    """Whether the dialog is always a page of its own, never shown over the list."""

    doubts: Sequence[Doubt] = ()

    @classmethod
    def as_action(cls, *, url_path: str, icon: str, label: LazyText | None = None) -> Callable[..., HttpResponse]:
        """Make an action of a row, a page or a list that opens this dialog. It requires the dialog's permission; its
        label is the dialog's title by default.
        """

        @staff_action(
            cls.title if label is None else label,
            url_path=url_path,
            icon=icon,
            permission=cls.permission,
            is_dialog=not cls.is_page,
        )
        def open_dialog(model_admin: ConsoleAdmin, request: HttpRequest, object_id: str | None = None) -> HttpResponse:
            return cls(model_admin, request, object_id).answer()

        return open_dialog

    def __init__(self, model_admin: ConsoleAdmin, request: HttpRequest, object_id: str | None = None) -> None:
        """Raises PermissionDenied for a user who may not open the list, Http404 for a row out of reach."""
        model_admin.require_view(request)
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

    # ------------------------------------------------------------------------ what a subclass must or may define

    def initial(self) -> dict[str, Any]:
        """The initial values of the form."""
        return {}

    def about(self) -> list[tuple[LazyText, Any]]:
        """Facts shown above the form, as pairs of label and value."""
        return []

    @abstractmethod
    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> R | StoredAnswer:
        """Call the service. Raises DomainError, which is shown in the form."""

    @abstractmethod
    def tell(self, result: R) -> str:
        """The message of success, in one sentence: "20 → 30 on hand, 28 available"."""

    def notice(self, result: R) -> str:
        """The message as it is shown after the form: ``tell``, perhaps with links."""
        return self.tell(result)

    def tell_again(self, result: R) -> str:
        """The message for a form that is sent a second time. It is stored in the database: no secrets here."""
        return self.tell(result)

    def find_doubts(self, given: dict[str, Any]) -> Sequence[Doubt]:
        """Doubts about the values of a valid form, which the user must confirm before anything is done."""
        return ()

    def refuse(self, form: DialogForm, error: DomainError) -> None:
        """Show in the form why nothing was done."""
        form.add_error(None, self.wording_of(error))

    def done(self, result: R) -> HttpResponse:
        """The response to a successful form."""
        messages.success(self.request, self.notice(result))
        return redirect(self.way_back())

    # ------------------------------------------------------------------------------------------ what this class does

    def answer(self) -> HttpResponse:
        """The response: the page for a GET, the result for a form that was sent. Raises PermissionDenied."""
        if not self.request.user.has_perm(self.permission):
            raise PermissionDenied
        if self.request.method != "POST":
            return self._page(self.make_form(initial={"once": uuid7(), **self.initial()}))
        form = self.make_form(data=self.request.POST)
        if not form.is_valid() or self._is_doubtful(form):
            return self._page(form, status=422)
        try:
            result = self.perform(actor_of(self.request), form.cleaned_data, self._claim(form))
        except DomainError as error:
            self.refuse(form, error)
            return self._page(form, status=422)
        if isinstance(result, StoredAnswer):
            messages.info(self.request, f"{msgspec.json.decode(result.body, type=str)} {SENT_BEFORE}")
            return redirect(self.way_back())
        return self.done(result)

    def _is_doubtful(self, form: DialogForm) -> bool:
        """Whether figures are far from the usual, and the user has not confirmed them."""
        self.doubts = self.find_doubts(form.cleaned_data)
        return bool(self.doubts) and self.request.POST.get(SURE) != self.sure

    @property
    def sure(self) -> str:
        """The value of the box that confirms all doubts."""
        return answer_to(self.doubts)

    @property
    def address(self) -> str:
        """The address that the form is sent to."""
        return self.request.path

    def make_form(self, **arguments: Any) -> DialogForm:
        """The form; a subclass may limit its choices here."""
        return self.form_class(**arguments)

    def way_back(self) -> str:
        """The address to return to: ``next`` if the request has a path in it, else the row's page or the list.

        Only a path: ``redirect`` takes other texts for the names of routes.
        """
        asked = self.request.POST.get("next") or self.request.GET.get("next") or ""
        if asked.startswith("/") and url_has_allowed_host_and_scheme(
            asked, {self.request.get_host()}, self.request.is_secure()
        ):
            return asked
        opts = self.model_admin.opts
        name = f"{self.model_admin.admin_site.name}:{opts.app_label}_{opts.model_name}"
        if self.subject is None:
            return reverse(f"{name}_changelist")
        return reverse(f"{name}_change", args=[self.subject.pk])

    def _claim(self, form: DialogForm) -> Claim:
        given = {name: str(value) for name, value in form.cleaned_data.items()}
        body = msgspec.json.encode(given, order="deterministic")
        print_ = fingerprint("POST", self.request.path, body, self._claimed_reach())
        key = f"{DIALOG_KEY}{form.cleaned_data['once']}"
        return Claim(claimant_of(self.request), key, print_, self._render)

    def _claimed_reach(self) -> bytes:
        """The reach that is a part of the fingerprint."""
        return reach_of(self.request)

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

    Its idempotency key is computed from the row's ``state`` when it was opened, and is the same for all users: only the
    first form for a state is executed. A later form with the same values gets the first answer again; one with other
    values is refused.
    """

    @abstractmethod
    def state(self) -> str:
        """The state that this dialog changes, as text. A state must never occur again once it has changed."""

    def initial(self) -> dict[str, Any]:
        return {"once": uuid5(_TOGETHER, f"{self.request.path} {self.state()}")}

    def _claim(self, form: DialogForm) -> Claim:
        own = super()._claim(form)
        return replace(own, client_id=_TOGETHER, key=f"{own.key}-{self.subject.pk}")

    def _claimed_reach(self) -> bytes:
        """Empty: the key is shared by all who have the row in reach, which was checked before."""
        return b""
