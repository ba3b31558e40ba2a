"""The table of errors and their HTTP statuses, and the answers: RFC 9457 problem documents, or pages of the console.

The ``code`` of a domain error is its name (``audit.errors.DomainError.code``); codes of HTTP errors are defined here.
"""

from typing import Any, Final, NamedTuple

import msgspec
import structlog
from django.core.exceptions import PermissionDenied
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.request import Request

from audit import errors
from audit.clients import ClientNameTaken
from audit.console.wording import wording_of
from audit.context import request_id_of
from audit.errors import DomainError
from audit.webhooks import managing as webhooks
from config.error_pages import page
from config.route_hints import hint_for
from inventory import errors as stock
from reservations import errors as holds

logger = structlog.get_logger(__name__)

DOMAIN_STATUS: Final[dict[type[DomainError], tuple[int, str]]] = {
    errors.Malformed: (400, "The body can't be read"),
    errors.Invalid: (400, "The request is not valid"),
    errors.Unstorable: (400, "The request is not valid"),
    errors.PermissionDenied: (403, "Not allowed"),
    errors.NotFound: (404, "Not found"),
    errors.TooLarge: (413, "The body is too large"),
    errors.VersionConflict: (409, "Changed since it was read"),
    errors.Throttled: (429, "Too many requests"),
    errors.Busy: (503, "Busy"),
    errors.OutcomeUnknown: (503, "Busy"),
    errors.IdempotencyKeyReused: (422, "The idempotency key was used for another request"),
    errors.IdempotencyInProgress: (409, "The first request with this key is still running"),
    stock.InsufficientStock: (409, "Not enough stock"),
    stock.ProductInactive: (409, "The product is not active"),
    stock.ListingExpired: (409, "The listing has ended"),
    stock.WarehouseInactive: (409, "The warehouse is not active"),
    stock.Frozen: (409, "Frozen"),
    stock.ProductFrozen: (409, "The product is frozen"),
    stock.WarehouseFrozen: (409, "The warehouse is frozen"),
    stock.StoreFrozen: (409, "The store is frozen"),
    stock.QuantityLimit: (409, "Too many units"),
    stock.AlertResolved: (409, "The alert is over"),
    stock.SkuTaken: (409, "The SKU is taken"),
    stock.TransferNotSent: (409, "The transfer was not sent"),
    stock.TransferAlreadySent: (409, "The transfer was sent before"),
    stock.TransferClosed: (409, "The transfer is closed"),
    stock.MoreThanInTransit: (409, "More than is in transit"),
    stock.MoreThanSold: (409, "More than was sold"),
    stock.MixedRoute: (422, "The items don't share one route"),
    errors.Archived: (410, "Archived"),
    stock.AlreadyInCount: (409, "In another count"),
    stock.NothingToCount: (409, "There is nothing to count"),
    stock.CountTooLarge: (409, "The count is too large"),
    stock.CountClosed: (409, "The count is closed"),
    stock.CountIncomplete: (409, "The count is not complete"),
    stock.CountBelowZero: (409, "On hand would fall below zero"),
    stock.ProductNotInCount: (422, "Not a product of this count"),
    ClientNameTaken: (409, "The name is taken"),
    webhooks.WebhookDisabled: (409, "The webhook is disabled"),
    webhooks.TooManyWebhooks: (409, "Too many webhooks"),
    webhooks.TooManySecrets: (409, "Too many secrets"),
    stock.DraftChanged: (409, "The draft has changed"),
    stock.DraftPosted: (409, "The draft was posted before"),
    stock.DocumentReversed: (409, "The document was reversed before"),
    stock.ReversalIsFinal: (409, "A reversal is final"),
    stock.TransferNotReceived: (409, "Nothing was received"),
    stock.UnknownProduct: (422, "Unknown product"),
    stock.UnknownWarehouse: (422, "Unknown warehouse"),
    stock.UnknownStore: (422, "Unknown store"),
    stock.WarehouseNotInStore: (422, "The store doesn't sell from this warehouse"),
    holds.ReservationNotFound: (404, "No such reservation"),
    holds.ReservationExpired: (409, "The reservation has expired"),
    holds.ReservationReleased: (409, "The reservation was released"),
    holds.ReservationConsumed: (409, "The reservation was consumed"),
    holds.ReservedForAnotherOrder: (409, "The reservation is for another order"),
    holds.OrderAlreadyHeld: (409, "The order has a reservation already"),
    holds.AlreadyExtended: (409, "The reservation was extended before"),
    holds.HoldLimitExceeded: (409, "Over a limit of the shopper"),
    holds.HoldNotInTheWay: (409, "The reservation is not in the way"),
    holds.ReservedUnexplained: (409, "Reserved does not match the reservations"),
    holds.IncidentResolved: (409, "The incident was resolved"),
    holds.TimeoutTooLong: (422, "The reservation would last too long"),
}

_HTTP_CODES: Final[dict[int, tuple[str, str]]] = {
    400: ("invalid", "The request is not valid"),
    401: ("not_authenticated", "Not authenticated"),
    403: ("permission_denied", "Not allowed"),
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "Method not allowed"),
    408: ("request_timeout", "The body came too slowly"),
    413: ("too_large", "The body is too large"),
    415: ("unsupported_media_type", "Unsupported media type"),
    421: ("misdirected", "Not served by this process"),
    429: ("throttled", "Too many requests"),
    500: ("internal_error", "Internal error"),
    503: ("busy", "Busy"),
}
TYPE: Final = "application/problem+json"
"""The media type of problem documents."""
_BUSY_RETRY_SECONDS: Final = 1
_SHOWN_PATH_LENGTH: Final = 300
_OFF_THE_API: Final = {
    stock.Frozen,
    ClientNameTaken,
    stock.DraftChanged,
    stock.DraftPosted,
    stock.DocumentReversed,
    stock.ReversalIsFinal,
    stock.TransferNotReceived,
}
"""Errors that the API never answers: a base class, of which only subclasses are raised, and those of the console."""


def codes() -> dict[str, int]:
    """Every ``code`` that the API may answer, and its status."""
    of_domain = {kind.code: status for kind, (status, _) in DOMAIN_STATUS.items() if kind not in _OFF_THE_API}
    return {code: status for status, (code, _) in _HTTP_CODES.items()} | of_domain


def exception_handler(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """A problem document for an error of an API view. Unexpected errors are logged and answered as a bare 500."""
    request: Request = context["request"]
    if isinstance(error, DomainError):
        return _domain_problem(request._request, error)
    if isinstance(error, exceptions.APIException):
        return _api_problem(request._request, error)
    if isinstance(error, Http404):
        return problem(request._request, 404, "There is nothing here.")
    if isinstance(error, PermissionDenied):
        return problem(request._request, 403, "Not allowed.")
    if isinstance(error, OperationalError | InterfaceError | DataError):
        return _domain_problem(request._request, of_database(error))
    logger.error("unforeseen_error", path=request.path, exc_info=error)
    return problem(request._request, 500, "Something went wrong here; it has been logged.")


def of_database(error: Exception) -> DomainError:
    """An error of the database that its caller can act on."""
    if isinstance(error, DataError):
        logger.error("value_not_storable", error=str(error))
        return errors.Unstorable("A value is out of its range.")
    logger.warning("database_away", error=str(error))
    return errors.Busy("The database is away. Try again.")


class Refusal(NamedTuple):
    """The answer to a request that was refused: a problem document, and further headers."""

    status: int
    body: bytes
    headers: dict[str, str]


def refusal(error: DomainError, request_id: str) -> Refusal:
    """The answer to a request that a service has refused."""
    status, title = DOMAIN_STATUS[type(error)]
    body = _document(status, error.detail, request_id, code=error.code, title=title, faults=error.faults)
    if isinstance(error, errors.Throttled):
        return Refusal(status, body, {"Retry-After": str(error.retry_after_seconds)})
    if isinstance(error, errors.Busy):
        return Refusal(status, body, {"Retry-After": str(_BUSY_RETRY_SECONDS)})
    return Refusal(status, body, {})


def _domain_problem(request: HttpRequest, error: DomainError) -> HttpResponse:
    refused = refusal(error, request_id_of(request))
    return HttpResponse(refused.body, status=refused.status, content_type=TYPE, headers=refused.headers)


def _api_problem(request: HttpRequest, error: exceptions.APIException) -> HttpResponse:
    if isinstance(error, exceptions.Throttled):
        wait = int(getattr(error, "wait", None) or 1)
        return _domain_problem(request, errors.Throttled("Too many requests of this client.", wait))
    response = problem(request, error.status_code, str(error.detail))
    if auth_header := getattr(error, "auth_header", None):
        response.headers["WWW-Authenticate"] = auth_header
    if accepted := getattr(error, "accept_encoding", None):
        response.headers["Accept-Encoding"] = accepted
    return response


def problem(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    """A problem document. Code and title are those of the status."""
    code, title = _HTTP_CODES.get(status, ("invalid", "The request is not valid"))
    document = _document(status, detail, request_id_of(request), code=code, title=title)
    return HttpResponse(document, status=status, content_type=TYPE)


def _document(
    status: int, detail: str, request_id: str, *, code: str, title: str, faults: tuple[errors.Fault, ...] = ()
) -> bytes:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "requestId": request_id,
    }
    if faults:
        body["errors"] = [
            {"pointer": fault.pointer, "code": fault.code, "detail": fault.detail, **fault.facts} for fault in faults
        ]
    return msgspec.json.encode(body)


def is_api(request: HttpRequest) -> bool:
    """Whether the caller is a program that expects problem documents."""
    return request.path.startswith("/api/")


def console_problem(request: HttpRequest, error: DomainError) -> HttpResponse:
    """A page for a domain error that no form of the console has shown."""
    status = next(DOMAIN_STATUS[kind][0] for kind in type(error).__mro__ if kind in DOMAIN_STATUS)
    return page(request, status if status in (403, 404, 503) else 409, wording_of(error))


_REFUSED: Final = {
    408: "The body came too slowly. Send it again.",
    413: "The body is too large.",
    421: "This process serves another part of the service (WEB_SERVES). The proxy must send this path elsewhere.",
    503: "Too many requests at once. Try again.",
}


def refused(request: HttpRequest, status: int) -> HttpResponse:
    """The answer to a request that no view sees: 408, 413, 421 or 503."""
    response = problem(request, status, _REFUSED[status]) if is_api(request) else page(request, status)
    response.headers["Cache-Control"] = "no-store"
    if status == 503:
        response.headers["Retry-After"] = str(_BUSY_RETRY_SECONDS)
    return response


def locked_out(
    request: HttpRequest, response: HttpResponse | None = None, credentials: dict[str, Any] | None = None
) -> HttpResponse:
    """The lockout page, after too many failed logins."""
    return page(request, 429)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The answer to Django's own 400, such as a host that isn't allowed."""
    return problem(request, 400, "Bad request.") if is_api(request) else page(request, 400)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The answer to Django's own 404."""
    return problem(request, 404, "There is nothing here.") if is_api(request) else page(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    """The answer to Django's own 500."""
    return problem(request, 500, "Something went wrong here.") if is_api(request) else page(request, 500)


@csrf_exempt
def no_such_route(request: HttpRequest, path: str) -> HttpResponse:
    """The answer to unknown paths below /api/."""
    shown = "".join(letter if letter.isprintable() else "�" for letter in request.path[:_SHOWN_PATH_LENGTH])
    return problem(request, 404, f"There is no route {shown}.{hint_for(request.path)}")
