"""Forms that are saved by a service, in a transaction of its own."""

from abc import abstractmethod
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect

from audit.console.base import AbstractAdmin, ConsoleAdmin
from audit.console.seen import New, Unchanged
from audit.console.wording import Worded
from audit.errors import DomainError
from audit.preconditions import Precondition


class _Unwrapped(admin.ModelAdmin):  # type: ignore[type-arg]
    """A form page without Django's transaction: the service opens its own, and may retry in a new one."""

    @method_decorator(csrf_protect)
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        answer: HttpResponse = self._changeform_view(request, object_id, form_url, extra_context)  # type: ignore[attr-defined]
        return answer


class ServiceAdmin(Worded, ConsoleAdmin, _Unwrapped, metaclass=AbstractAdmin):
    """A form whose Save calls a service.

    A subclass implements ``store``, which calls the service with the values of the forms and the precondition. A
    DomainError that it raises is shown in the form; nothing was written then. As in the API, only users of all
    warehouses may change rows that all warehouses share.
    """

    shared_by_all = True

    @abstractmethod
    def store(self, request: HttpRequest, form: Any, formsets: list[Any], precondition: Precondition) -> Model:
        """Call the service, which calls ``precondition`` with the locked row, and return the row as it is now. Raises
        DomainError."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except DomainError as error:
            request.refusal = self.wording_of(error)  # type: ignore[attr-defined]
        return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form_class = super().get_form(request, obj, change=change, **kwargs)
        refusal = getattr(request, "refusal", None)
        return type(form_class.__name__, (_Refused, form_class), {"refusal": refusal}) if refusal else form_class

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: what has stock or movements is deactivated, not deleted."""
        return False

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        """Do nothing: ``save_related`` saves, because it has the related rows as well."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        unchanged = Unchanged(self, request, form, formsets) if change else New()
        saved = self.store(request, form, list(formsets), unchanged)
        if not unchanged.was_asked:
            raise ImproperlyConfigured(f"The service of {type(self).__name__} doesn't ask whether the row has changed.")
        form.instance.pk = saved.pk
        form.instance._state.adding = False

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        return ""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write no log entry of Django: the service has written an audit entry."""

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write no log entry of Django: the service has written an audit entry."""


class _Refused:
    """A form whose service refused the change: shows the reason as an error."""

    refusal: ClassVar[str]

    def clean(self) -> Any:
        super().clean()  # type: ignore[misc]
        raise forms.ValidationError(self.refusal)
