"""Services refuse what lies outside an actor's reach, whatever page or view calls them.

Each public service with an actor parameter is in ``CALLS``, with a call that touches the warehouse ``there``, or in
``PARTS``, with the service that calls it. A service in neither fails a test.
"""

import importlib
import inspect
import json
import pkgutil
import typing
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import ModuleType
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest
from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.test import RequestFactory
from django.utils import timezone
from uuid_utils.compat import uuid7

import audit.clients
import config.urls  # noqa: F401 - registers the pages whose reach is asked for below
import inventory.services
import reservations.services
from audit import clients
from audit.actors import Actor
from audit.authentication import issue_token
from audit.console.base import Reach, actor_of
from audit.errors import NotFound, PermissionDenied, raise_refusal
from audit.models import ApiToken
from audit.webhooks import managing
from inventory.errors import UnknownWarehouse
from inventory.models import LowStockAlert, StockCount, StockLevel, Warehouse
from inventory.services.access import people, webhooks
from inventory.services.catalogue import freezing, master_data, stores
from inventory.services.catalogue.master_data import ProductChange, ProductFields
from inventory.services.counts import documents as counts_documents
from inventory.services.counts import entering, opening, posting
from inventory.services.counts.documents import ProductRef
from inventory.services.drafts import posting as draft_posting
from inventory.services.drafts import receiving
from inventory.services.drafts.lines import LineCommand
from inventory.services.drafts.receiving import DraftDetails
from inventory.services.low_stock import alerts, assignment, subscriptions
from inventory.services.stock import adjustments, imports, level_settings, listing, places, reasons, reversing
from inventory.services.stock.import_files import COLUMNS, ImportFile, read_file
from inventory.services.stock.level_settings import LevelChange
from inventory.services.stock.reading import ProductLevelsRequest, read_product_levels
from inventory.services.transfers import commands as transfers
from inventory.services.transfers import drafting, redirecting
from inventory.services.transfers import reversing as transfers_reversing
from inventory.services.transfers.commands import MoveLine, TransferRequest
from inventory.services.transfers.drafting import TransferDetails
from reservations.errors import ReservationNotFound
from reservations.models import DeadLetter, ShortageIncident
from reservations.services.availability import availability, explanation, recall
from reservations.services.bookkeeping import reconciliation
from reservations.services.holds import baskets, extending, lists, placing, reading, resolution, selling_by_hand
from reservations.services.holds.extending import ExtendRequest
from reservations.services.holds.lists import ListRequest
from reservations.services.holds.placing import HoldRequest
from reservations.services.holds.reading import ReadRequest
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest
from reservations.services.holds.selecting import Selector
from reservations.services.holds.sourcing import RequestLine
from reservations.services.orders import settling
from reservations.services.shortages import incidents
from tests.books import assert_books_balance
from tests.factories import ACTOR, hold, make_client, make_product, make_store, receive
from tests.orders.sending import event
from tests.staff import make_staff

pytestmark = pytest.mark.django_db

HERE: Final = "wh-001"
THERE: Final = "wh-002"
BEYOND: Final = "wh-003"
OUTSIDE = msgspec.structs.replace(ACTOR, name="outside", source="admin", warehouse_codes=(HERE,), account_id=-1)
"""An actor limited to ``here``."""
INSIDE = msgspec.structs.replace(ACTOR, name="inside", source="admin", warehouse_codes=(HERE, THERE), account_id=-2)
"""An actor limited to ``here`` and ``there``."""


class Scene:
    """Stock here and there, and a document of each kind that touches ``there``."""

    def __init__(self) -> None:
        make_store("main", HERE, THERE, BEYOND)
        self.product, held, short = make_product(), make_product(), make_product()
        receive(self.product, 100, HERE)
        self.level = receive(self.product, 100, THERE)
        StockLevel.objects.filter(pk=self.level.pk).update(zone="Place")
        receive(held, 100, HERE)
        self.hold = hold((receive(held, 100, THERE), 150), cart_id="both").id
        self.draft = self._draft(THERE, HERE)
        self.deliveries = {actor.name: self._delivery(actor) for actor in (OUTSIDE, INSIDE)}
        self.left_behind = self._delivery(msgspec.structs.replace(INSIDE, account_id=-3), "PO-2")
        self.incoming = self._sent(HERE, THERE)
        self.outgoing = self._sent(THERE, HERE)
        self.arrived = self._sent(HERE, THERE)
        transfers.receive_transfer(transfers.ReceiveRequest(ACTOR, self.arrived))
        self.document = self._document()
        self.arrivals = {actor.name: self._arrival(actor) for actor in (OUTSIDE, INSIDE)}
        self.count = self._count()
        self.incident = self._incident(receive(short, 5, THERE))
        self.alert = LowStockAlert.objects.create(
            level=self.level, severity="LOW", available=100, opened_at=timezone.now()
        ).pk
        self.client = make_client()
        self.token = ApiToken.objects.get(prefix=issue_token(self.client).partition(".")[0]).pk
        self.user = make_staff("viewer")
        added: Any = managing.create(ACTOR, dict(WEBHOOK))
        self.webhook = added.webhook.pk
        self.letter = DeadLetter.objects.create(
            digest=b"x",
            client_id=self.client.pk,
            place="http",
            message=json.dumps(event("OrderCancelledEvent", orderId="o")).encode(),
            code="malformed",
            reason="r",
            received_at=timezone.now(),
        ).pk

    def moved(self, actor: Actor, source: str = THERE, destination: str = HERE) -> TransferRequest:
        return TransferRequest(actor, (MoveLine(self.product.pk, None, 3, source, destination),))

    def counted(self, actor: Actor, product_id: UUID | None = None) -> opening.OpenRequest:
        """A count of one product there."""
        return opening.OpenRequest(actor, THERE, "PRODUCTS", products=(ProductRef(product_id or self.product.pk),))

    def basket(self, actor: Actor) -> HoldRequest:
        return HoldRequest(actor, (RequestLine(self.product.pk, None, 1, HERE),), cart_id="own")

    @property
    def file(self) -> ImportFile:
        """One line, of the product there."""
        lines = [",".join(COLUMNS), f"{self.product.sku},{THERE},1,RECEIPT,found,"]
        return read_file("stock.csv", "\n".join(lines).encode())

    def level_change(self) -> LevelChange:
        return LevelChange(self.product.pk, THERE, {"zone": "Z"})

    def _draft(self, source: str, destination: str) -> UUID:
        drafted: Any = transfers.draft_transfer(self.moved(ACTOR, source, destination))
        return UUID(str(drafted.document.id))

    def _sent(self, source: str, destination: str) -> UUID:
        sent: Any = transfers.start_transfer(self.moved(ACTOR, source, destination))
        return UUID(str(sent.document.id))

    def _delivery(self, owner: Actor, reference: str = "PO-1") -> UUID:
        """A draft of a delivery there, begun by somebody who reached it then."""
        owner = msgspec.structs.replace(owner, warehouse_codes=None)
        draft = receiving.open_delivery(owner, THERE, reference)
        receiving.change_lines(owner, draft, [LineCommand(uuid7(), self.product.pk)])
        return draft

    def _arrival(self, owner: Actor) -> UUID:
        """A draft of what arrives there of a transfer, begun by somebody who reached it then."""
        owner = msgspec.structs.replace(owner, warehouse_codes=None)
        draft = receiving.open_arrival(owner, self.incoming)
        receiving.change_lines(owner, draft, [LineCommand(uuid7(), self.product.pk)])
        return draft

    def _document(self) -> UUID:
        """A receipt there, posted by hand."""
        line = adjustments.Adjustment(self.product.pk, None, THERE, 1, "RECEIPT", "came")
        everywhere = msgspec.structs.replace(INSIDE, warehouse_codes=None)
        posted: Any = adjustments.apply_adjustments(adjustments.AdjustRequest(everywhere, (line,)))
        return UUID(str(posted.id))

    def _count(self) -> UUID:
        opened: Any = opening.count_one(self.counted(ACTOR), 96)
        return UUID(str(opened.count.id))

    def _incident(self, level: StockLevel) -> UUID:
        hold((level, 5))
        line = adjustments.Adjustment(level.product_id, None, THERE, -2, "ADJUSTMENT", "lost", force=True)
        adjustments.apply_adjustments(adjustments.AdjustRequest(ACTOR, (line,)))
        return UUID(str(ShortageIncident.objects.get().pk))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def _imported(done: Any) -> Any:
    """Raise the refusal of an import, which is returned as an answer."""
    if done.bad:
        raise UnknownWarehouse(done.bad[0].detail)
    return done


def _seen(levels: Any) -> Any:
    """Raise NotFound if no levels were returned: those out of reach are left out."""
    if not levels:
        raise NotFound("nothing is seen")
    return levels


def _adjusted(scene: Scene, actor: Actor) -> Any:
    line = adjustments.Adjustment(scene.product.pk, None, THERE, 1, "RECEIPT", "came")
    return adjustments.apply_adjustments(adjustments.AdjustRequest(actor, (line,)))


def _put_product(scene: Scene, actor: Actor) -> Any:
    return master_data.put_product(actor, uuid7(), parent_id=None, claim=None, sku="NEW", name="New")


def _put_products(scene: Scene, actor: Actor) -> Any:
    return master_data.put_products(actor, [ProductChange(uuid7(), ProductFields("NEW", "New"))], claim=None)


def _put_store(scene: Scene, actor: Actor) -> Any:
    return stores.put_store(actor, "new", name="New", ttl_minutes=None, priorities={HERE: 1}, claim=None)


def _put_client(scene: Scene, actor: Actor) -> Any:
    return clients.put_client(actor, uuid7(), name="new", role="viewer", store_codes=())


def _set_level(scene: Scene, actor: Actor) -> Any:
    changes = {"zone": "Z"}
    return level_settings.set_level(actor, scene.product.pk, THERE, changes=changes, claim=None)


def _found_place(actor: Actor) -> places.Place:
    """A place that is out of reach is not found."""
    found = places.find_places(actor, f"{THERE}/Z-1")
    return _required(found)


def _begun_place(actor: Actor) -> places.Place:
    return _required(places.places_beginning_so(actor, "pla", at_most=1))


def _required(found: list[places.Place]) -> places.Place:
    if not found:
        raise NotFound("There is no such place.")
    return found[0]


def _put_away(scene: Scene, actor: Actor) -> Any:
    place = places.Place(Warehouse.objects.get(code=THERE), "Z-1")
    return places.put_away(actor, place, scene.product.pk, claim=None)


def _entered(scene: Scene, actor: Actor) -> Any:
    entries = (entering.EnteredCount(ProductRef(scene.product.pk), 95),)
    return entering.enter_counts(entering.EnterRequest(actor, scene.count, entries))


def _counted_one(scene: Scene, actor: Actor) -> Any:
    other = StockLevel.objects.filter(warehouse__code=THERE).exclude(product=scene.product).latest("pk")
    return opening.count_one(scene.counted(actor, other.product_id), 3)


def _changed_draft(scene: Scene, actor: Actor) -> Any:
    return transfers.change_draft(scene.draft, scene.moved(actor))


def _line(scene: Scene) -> list[LineCommand]:
    return [LineCommand(uuid7(), scene.product.pk)]


def _set_details(scene: Scene, actor: Actor) -> Any:
    seen = DraftDetails(THERE, "PO-1")
    return receiving.set_details(actor, scene.deliveries[actor.name], DraftDetails(THERE, "PO-2"), seen)


def _set_transfer_details(scene: Scene, actor: Actor) -> Any:
    seen = TransferDetails(THERE, HERE)
    return drafting.set_details(actor, scene.draft, TransferDetails(THERE, HERE, "T-1"), seen)


def _posted_delivery(scene: Scene, actor: Actor) -> Any:
    return draft_posting.post_delivery(draft_posting.PostDraftRequest(actor, scene.deliveries[actor.name], 2))


def _posted_arrival(scene: Scene, actor: Actor) -> Any:
    return draft_posting.post_arrival(draft_posting.PostDraftRequest(actor, scene.arrivals[actor.name], 2))


def _put_access(scene: Scene, actor: Actor) -> Any:
    return people.put_access(actor, scene.user.pk, warehouse_codes=[HERE], is_new=False, account_changes={})


def _checked(scene: Scene, actor: Actor) -> Any:
    return availability.check_availability(actor, None, [availability.Query(scene.product.pk, None, 1, None)])


def _checked_together(scene: Scene, actor: Actor) -> Any:
    query = availability.Query(scene.product.pk, None, 1, None)
    return raise_refusal(availability.check_all([availability.CheckRequest(actor, None, (query,))])[0])


def _then(scene: Scene, actor: Actor) -> Any:
    return _seen(explanation.on_hand_at(actor, scene.product.pk, THERE, timezone.now() - timedelta(hours=1)).levels)


def _read_product(scene: Scene, actor: Actor) -> Any:
    return raise_refusal(read_product_levels([ProductLevelsRequest(actor, scene.product.pk, THERE)])[0])


def _listed(scene: Scene, actor: Actor) -> Any:
    found = listing.read_levels(listing.LevelFilter(actor, ids=(scene.product.pk,)), limit=200)
    return _seen([level for level in found if level.warehouse_code == THERE])


WEBHOOK: Final = {"name": "new", "url": "https://example.com/"}


def _resent(scene: Scene, actor: Actor) -> Any:
    """Ask for an event that there isn't: that it is none is told those alone who reach the webhook."""
    try:
        return managing.resend_event(actor, scene.webhook, uuid7())
    except NotFound as error:
        if "There is no event" not in error.detail:
            raise


Call = Callable[[Scene, Actor], Any]
CALLS: Final[dict[str, Call]] = {
    "people.put_access": _put_access,
    "people.record_password": lambda scene, actor: people.record_password(actor, scene.user.pk),
    "clients.put_client": _put_client,
    "clients.issue": lambda scene, actor: clients.issue(actor, scene.client.pk, days=1, claim=None),
    "clients.add_client": lambda scene, actor: clients.add_client(
        actor, name="new", role="viewer", store_codes=(), now=timezone.now()
    ),
    "clients.add_token": lambda scene, actor: clients.add_token(
        actor, scene.client, expires_at=None, now=timezone.now()
    ),
    "clients.revoke": lambda scene, actor: clients.revoke(actor, [scene.token], claim=None),
    "webhooks.create_webhook": lambda scene, actor: webhooks.create_webhook(actor, dict(WEBHOOK)),
    "webhooks.change_webhook": lambda scene, actor: webhooks.change_webhook(actor, scene.webhook, {"name": "other"}),
    "managing.visible_to": lambda scene, actor: managing.visible_to(actor),
    "managing.create": lambda scene, actor: managing.create(actor, dict(WEBHOOK)),
    "managing.change": lambda scene, actor: managing.change(actor, scene.webhook, {"name": "other"}),
    "managing.delete": lambda scene, actor: managing.delete(actor, scene.webhook),
    "managing.rotate": lambda scene, actor: managing.rotate(actor, scene.webhook, overlap_hours=1),
    "managing.send_test": lambda scene, actor: managing.send_test(actor, scene.webhook),
    "managing.resend_event": _resent,
    "managing.resend_since": lambda scene, actor: managing.resend_since(actor, scene.webhook, timezone.now(), None),
    "managing.resend_failed": lambda scene, actor: managing.resend_failed(actor, scene.webhook),
    "freezing.freeze": lambda scene, actor: freezing.freeze(actor, freezing.warehouse(THERE), reason="fire"),
    "freezing.unfreeze": lambda scene, actor: freezing.unfreeze(actor, freezing.warehouse(THERE)),
    "master_data.put_product": _put_product,
    "master_data.put_products": _put_products,
    "master_data.put_warehouse": lambda scene, actor: master_data.put_warehouse(
        actor, THERE, claim=None, name="Other", type="MAIN"
    ),
    "stores.put_store": _put_store,
    "documents.read_count": lambda scene, actor: counts_documents.read_count(scene.count, actor),
    "entering.enter_counts": _entered,
    "entering.cancel_count": lambda scene, actor: entering.cancel_count(
        entering.CancelCountRequest(actor, scene.count)
    ),
    "opening.open_count": lambda scene, actor: opening.open_count(
        opening.OpenRequest(actor, THERE, StockCount.Scope.ALL.value)
    ),
    "opening.count_one": _counted_one,
    "posting.post_count": lambda scene, actor: posting.post_count(posting.PostRequest(actor, scene.count)),
    "posting.preview_count": lambda scene, actor: posting.preview_count(scene.count, actor),
    "alerts.acknowledge": lambda scene, actor: alerts.acknowledge(scene.alert, actor),
    "assignment.assign": lambda scene, actor: _seen(
        assignment.assign([scene.alert], scene.user.get_username(), actor).assigned
    ),
    "alerts.snooze": lambda scene, actor: alerts.snooze(scene.alert, timezone.now() + timedelta(days=1), actor),
    "subscriptions.choose_alerts": lambda scene, actor: subscriptions.choose_alerts(
        actor, scene.user.pk, "someone@example.com", codes=[THERE]
    ),
    "adjustments.apply_adjustments": _adjusted,
    "reversing.reverse_document": lambda scene, actor: reversing.reverse_document(
        reversing.ReverseRequest(actor, scene.document, "mistake")
    ),
    "imports.foresee_import": lambda scene, actor: _imported(imports.foresee_import(actor, scene.file)),
    "imports.plan_import": lambda scene, actor: _imported(imports.plan_import(actor, scene.file, skip_bad=False)),
    "imports.import_stock": lambda scene, actor: _imported(imports.import_stock(actor, scene.file, skip_bad=True)),
    "level_settings.set_level": _set_level,
    "level_settings.set_levels": lambda scene, actor: level_settings.set_levels(
        actor, [scene.level_change()], claim=None
    ),
    "places.find_places": lambda _scene, actor: _found_place(actor),
    "places.places_beginning_so": lambda _scene, actor: _begun_place(actor),
    "places.put_away": _put_away,
    "reasons.put_reason": lambda scene, actor: reasons.put_reason(
        actor, uuid7(), text="Mice", kinds=["ADJUST"], is_active=True
    ),
    "commands.start_transfer": lambda scene, actor: transfers.start_transfer(scene.moved(actor)),
    "commands.draft_transfer": lambda scene, actor: transfers.draft_transfer(scene.moved(actor)),
    "commands.change_draft": _changed_draft,
    "commands.send_transfer": lambda scene, actor: transfers.send_transfer(transfers.SendRequest(actor, scene.draft)),
    "commands.receive_transfer": lambda scene, actor: transfers.receive_transfer(
        transfers.ReceiveRequest(actor, scene.incoming)
    ),
    "commands.cancel_transfer": lambda scene, actor: transfers.cancel_transfer(
        transfers.CancelTransferRequest(actor, scene.outgoing)
    ),
    "selling_by_hand.sell_by_hand": lambda scene, actor: raise_refusal(
        selling_by_hand.sell_by_hand([ConsumeRequest(actor, "order-1", Selector(scene.hold))])[0]
    ),
    "recall.read_recall": lambda scene, actor: _seen(
        [level for level in recall.read_recall(actor, scene.product, days=7).levels if level.pk == scene.level.pk]
    ),
    "redirecting.redirect_transfer": lambda scene, actor: redirecting.redirect_transfer(
        redirecting.RedirectRequest(actor, scene.outgoing, BEYOND)
    ),
    "reversing.send_back": lambda scene, actor: transfers_reversing.send_back(
        transfers_reversing.SendBackRequest(actor, scene.arrived, "wrong place")
    ),
    "drafting.open_draft": lambda scene, actor: drafting.open_draft(actor, THERE, HERE),
    "drafting.change_lines": lambda scene, actor: drafting.change_lines(actor, scene.draft, _line(scene)),
    "drafting.set_details": _set_transfer_details,
    "receiving.take_over": lambda scene, actor: receiving.take_over(actor, scene.left_behind),
    "receiving.open_delivery": lambda scene, actor: receiving.open_delivery(actor, THERE, "PO-3"),
    "receiving.open_arrival": lambda scene, actor: receiving.open_arrival(actor, scene.incoming),
    "receiving.change_lines": lambda scene, actor: receiving.change_lines(
        actor, scene.deliveries[actor.name], _line(scene)
    ),
    "receiving.set_details": _set_details,
    "receiving.discard": lambda scene, actor: receiving.discard(actor, scene.deliveries[actor.name]),
    "posting.post_delivery": _posted_delivery,
    "posting.post_arrival": _posted_arrival,
    "availability.check_availability": _checked,
    "availability.check_all": _checked_together,
    "reading.read_product_levels": _read_product,
    "listing.read_levels": _listed,
    "explanation.explain": lambda scene, actor: _seen(explanation.explain(actor, scene.product.pk, THERE).levels),
    "explanation.on_hand_at": _then,
    "reconciliation.reconcile": lambda scene, actor: reconciliation.reconcile(actor),
    "baskets.put_basket": lambda scene, actor: baskets.put_basket(scene.basket(actor)),
    "baskets.put_baskets": lambda scene, actor: raise_refusal(baskets.put_baskets([scene.basket(actor)])[0]),
    "baskets.empty_basket": lambda scene, actor: baskets.empty_basket(ReleaseRequest(actor, Selector(cart_id="both"))),
    "baskets.empty_baskets": lambda scene, actor: raise_refusal(
        baskets.empty_baskets([ReleaseRequest(actor, Selector(cart_id="both"))])[0]
    ),
    "placing.place_holds": lambda scene, actor: raise_refusal(placing.place_holds([scene.basket(actor)])[0]),
    "placing.place_hold": lambda scene, actor: placing.place_hold(scene.basket(actor)),
    "placing.plan_hold": lambda scene, actor: placing.plan_hold(scene.basket(actor)),
    "placing.plan_holds": lambda scene, actor: placing.plan_holds([scene.basket(actor)]),
    "reading.read_hold": lambda scene, actor: reading.read_hold(actor, scene.hold),
    "reading.read_carts": lambda scene, actor: raise_refusal(
        reading.read_carts([reading.CartRequest(actor, "both")])[0]
    ),
    "reading.read_holds": lambda scene, actor: raise_refusal(reading.read_holds([ReadRequest(actor, scene.hold)])[0]),
    "lists.list_holds": lambda scene, actor: lists.list_holds([ListRequest(actor, 9, cart_id="both")]),
    "extending.extend_hold": lambda scene, actor: extending.extend_hold(ExtendRequest(actor, Selector(scene.hold), 5)),
    "extending.extend_holds": lambda scene, actor: raise_refusal(
        extending.extend_holds([ExtendRequest(actor, Selector(scene.hold), 5)])[0]
    ),
    "resolution.release_hold": lambda scene, actor: resolution.release_hold(
        ReleaseRequest(actor, Selector(scene.hold))
    ),
    "resolution.release_holds": lambda scene, actor: raise_refusal(
        resolution.release_holds([ReleaseRequest(actor, Selector(scene.hold))])[0]
    ),
    "resolution.consume_hold": lambda scene, actor: resolution.consume_hold(
        ConsumeRequest(actor, "order-1", Selector(scene.hold))
    ),
    "resolution.consume_holds": lambda scene, actor: raise_refusal(
        resolution.consume_holds([ConsumeRequest(actor, "order-1", Selector(cart_id="both"))])[0]
    ),
    "settling.replay_letter": lambda scene, actor: settling.replay_letter(settling.SettleRequest(actor, scene.letter)),
    "settling.discard_letter": lambda scene, actor: settling.discard_letter(
        settling.SettleRequest(actor, scene.letter)
    ),
    "incidents.read_incident": lambda scene, actor: incidents.read_incident(scene.incident, actor),
    "incidents.resolve_incident": lambda scene, actor: incidents.resolve_incident(
        incidents.ResolveRequest(actor, scene.incident, "told the customer")
    ),
}
"""Each service with a call that touches ``there``."""

FOR_ALL_WAREHOUSES: Final = {
    "lists.list_holds",
    "people.put_access",
    "people.record_password",
    "clients.put_client",
    "clients.issue",
    "clients.add_client",
    "clients.add_token",
    "clients.revoke",
    "webhooks.create_webhook",
    "webhooks.change_webhook",
    "managing.visible_to",
    "managing.create",
    "managing.change",
    "managing.delete",
    "managing.rotate",
    "managing.send_test",
    "managing.resend_event",
    "managing.resend_since",
    "managing.resend_failed",
    "master_data.put_product",
    "master_data.put_products",
    "master_data.put_warehouse",
    "stores.put_store",
    "reasons.put_reason",
    "availability.check_availability",
    "availability.check_all",
    "reconciliation.reconcile",
    "baskets.put_basket",
    "baskets.put_baskets",
    "settling.replay_letter",
    "settling.discard_letter",
    "placing.place_holds",
    "placing.place_hold",
    "placing.plan_hold",
    "placing.plan_holds",
}
"""Services that refuse every limited actor, even if only warehouses within its reach would be touched."""

PARTS: Final[dict[str, str]] = {
    "import_places.place_lines": "imports.import_stock",
    "master_data.put_row": "master_data.put_product",
    "master_data.write_products": "master_data.put_products",
    "documents.lock_open_count": "entering.enter_counts",
    "entering.enter": "entering.enter_counts",
    "repair_events.events_of": "reconciliation.reconcile",
    "adjustments.adjust": "adjustments.apply_adjustments",
    "adjustments.adjust_claimed": "adjustments.apply_adjustments",
    "documents.draw_document": "adjustments.apply_adjustments",
    "documents.write_document": "adjustments.apply_adjustments",
    "documents.lock_document": "reversing.reverse_document",
    "returns.require_returnable": "adjustments.apply_adjustments",
    "returns.read_sold": "adjustments.apply_adjustments",
    "level_settings.change_levels": "level_settings.set_levels",
    "commands.start": "commands.start_transfer",
    "commands.draft": "commands.draft_transfer",
    "commands.change": "commands.change_draft",
    "commands.send": "commands.send_transfer",
    "commands.receive": "commands.receive_transfer",
    "commands.cancel": "commands.cancel_transfer",
    "commands.draft_entry": "commands.change_draft",
    "routes.route_between": "drafting.open_draft",
    "receiving.require_account": "receiving.open_delivery",
    "receiving.lock_draft": "receiving.change_lines",
    "receiving.lock_open_draft": "receiving.change_lines",
    "receiving.entry_of_draft": "receiving.discard",
    "preconditions.lock_seen": "commands.send_transfer",
    "preconditions.require_touchable": "commands.send_transfer",
    "preconditions.require_destination": "commands.send_transfer",
    "redirecting.redirect": "redirecting.redirect_transfer",
    "placing.hold_all": "placing.place_holds",
    "placing.names_in": "placing.place_holds",
    "placing.prepare": "placing.place_holds",
    "placing.prepare_all": "placing.place_holds",
    "sold_out.known_shortage": "placing.place_holds",
    "repetitions.may_be_repeated": "placing.place_holds",
    "baskets.put_all": "baskets.put_baskets",
    "baskets.apart": "baskets.put_baskets",
    "baskets.empty_all": "baskets.empty_baskets",
    "resolution.lock_for": "resolution.release_holds",
    "resolution.resolve_all": "resolution.release_holds",
    "resolution.resolve_claimed": "baskets.empty_baskets",
    "incidents.show": "incidents.read_incident",
    # Created orders are planned like holds; what incoming events reach is tested in tests/orders.
    "creating.candidate_levels": "placing.place_holds",
    "creating.planned": "placing.place_holds",
    "creating.adopted_ids": "placing.place_holds",
    "creating.lock_allowances": "placing.place_holds",
    # The following are called after a service has checked the reach; they refuse nothing themselves.
    "adjustments.write_placed": "adjustments.apply_adjustments",
    "adjustment_lines.adjusted_entries": "adjustments.apply_adjustments",
    "adjustment_lines.adjusted_events": "adjustments.apply_adjustments",
    "subscriptions.follow_account": "people.put_access",
    "frozen_goods.require_unfrozen": "adjustments.apply_adjustments",
    "moves.entry_of": "commands.start_transfer",
    "moves.ship": "commands.start_transfer",
    "moves.reroute": "redirecting.redirect_transfer",
    "moves.arrive": "commands.receive_transfer",
    "moves.bring_back": "commands.cancel_transfer",
    "lookup.read_catalogue": "placing.place_holds",
    "lookup.recall_catalogue": "placing.place_holds",
    "placing.created_entry": "placing.place_holds",
    "expiry.expired_entry": "resolution.release_holds",
    "reacquiring.read_catalogue_of": "resolution.consume_holds",
    "reacquiring.reacquired": "resolution.consume_holds",
    "resolution.released_entry": "resolution.release_holds",
    "resolution.consumed_entry": "resolution.consume_holds",
    "incidents.insert": "posting.post_count",
    "incidents.opened_entry": "posting.post_count",
    "shortage.lock_and_choose": "posting.post_count",
    "orphans.check_orphans": "reconciliation.reconcile",
    "reconciliation.begin": "reconciliation.reconcile",
    "reconciliation.finish": "reconciliation.reconcile",
    "reconciliation.keep": "reconciliation.reconcile",
    "reconciliation.missing_movement": "reconciliation.reconcile",
    "reconciliation.check_transfers": "reconciliation.reconcile",
}
"""Each part of a service with an actor parameter, and a service that calls it."""


# ----------------------------------------------------------------------------------------------- every service is here


def _modules() -> Iterator[ModuleType]:
    yield audit.clients
    yield managing
    for package in (inventory.services, reservations.services):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


def _has_actor(hint: Any) -> bool:
    """Whether a parameter of this type is, or contains, an actor."""
    if parts := typing.get_args(hint):
        return any(_has_actor(part) for part in parts)
    if not isinstance(hint, type) or issubclass(hint, Model):
        return False
    return hint is Actor or typing.get_type_hints(hint).get("actor") is Actor


def _services() -> set[str]:
    """The public functions with an actor parameter, as ``module.function``."""
    found = set()
    for module in _modules():
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                hints = typing.get_type_hints(function)
                if any(_has_actor(hint) for parameter, hint in hints.items() if parameter != "return"):
                    found.add(f"{module.__name__.rpartition('.')[2]}.{name}")
    return found


def test_every_service_that_is_given_an_actor_is_called_here() -> None:
    assert _services() == CALLS.keys() | PARTS.keys()
    assert not CALLS.keys() & PARTS.keys()
    assert set(PARTS.values()) | FOR_ALL_WAREHOUSES <= CALLS.keys()


# ------------------------------------------------------------------------------------------------------- what they do


def _everything() -> dict[str, list[Any]]:
    """All rows of all tables of the service."""
    models = [
        model for label in ("audit", "inventory", "reservations") for model in apps.get_app_config(label).get_models()
    ]
    return {model._meta.label: sorted(map(repr, model._base_manager.values_list())) for model in models}


@pytest.mark.parametrize("name", CALLS)
def test_what_is_out_of_reach_is_refused_and_nothing_changes(name: str, scene: Scene) -> None:
    before = _everything()
    expected = PermissionDenied if name in FOR_ALL_WAREHOUSES else (NotFound, UnknownWarehouse, ReservationNotFound)
    with pytest.raises(expected):
        CALLS[name](scene, OUTSIDE)
    assert _everything() == before
    assert_books_balance()


@pytest.mark.parametrize("name", CALLS)
def test_the_same_call_works_within_reach(name: str, scene: Scene) -> None:
    CALLS[name](scene, ACTOR if name in FOR_ALL_WAREHOUSES else INSIDE)
    assert_books_balance()


@pytest.mark.parametrize("name", sorted(FOR_ALL_WAREHOUSES))
def test_changes_for_all_warehouses_are_refused_to_a_limited_actor(name: str, scene: Scene) -> None:
    with pytest.raises(PermissionDenied):
        CALLS[name](scene, INSIDE)


@pytest.mark.parametrize("kind", ["product", "store"])
def test_products_and_stores_are_frozen_for_all_warehouses(kind: str, scene: Scene) -> None:
    subject = freezing.product(scene.product.pk) if kind == "product" else freezing.store("main")
    for limits in ({"warehouse_codes": (HERE, THERE)}, {"store_codes": ("main",)}):
        with pytest.raises(PermissionDenied):
            freezing.freeze(msgspec.structs.replace(ACTOR, **limits), subject, reason="recall")
    freezing.freeze(ACTOR, subject, reason="recall")


def test_a_late_payment_is_served_for_an_actor_of_all_warehouses(scene: Scene) -> None:
    """Its units may come from any of the store's warehouses."""
    sell = ConsumeRequest(INSIDE, "order-1", Selector(scene.hold), reacquire=True)
    with pytest.raises(PermissionDenied):
        resolution.consume_hold(sell)


def test_a_change_of_a_draft_may_not_lead_out_of_reach(scene: Scene) -> None:
    with pytest.raises(UnknownWarehouse):
        transfers.change_draft(scene.draft, scene.moved(INSIDE, BEYOND, HERE))


@pytest.mark.parametrize("name", ["receive_transfer", "cancel_transfer"])
def test_each_end_of_a_transfer_is_touched_by_staff_of_its_warehouse(name: str, scene: Scene) -> None:
    """Staff of one end receive what arrives there, and cancel what left there."""
    if name == "receive_transfer":
        transfers.receive_transfer(transfers.ReceiveRequest(OUTSIDE, scene.outgoing))
    else:
        transfers.cancel_transfer(transfers.CancelTransferRequest(OUTSIDE, scene.incoming))
    assert_books_balance()


# --------------------------------------------------------------------------------------------------------- the console


def _reaches() -> list[Reach]:
    """All lists of the console, and the lists on their pages."""
    pages: list[Any] = list(admin.site._registry.values())
    return [*pages, *(kind(page.model, admin.site) for page in pages for kind in page.inlines)]


@pytest.mark.parametrize("page", _reaches(), ids=lambda page: type(page).__name__)
def test_every_list_declares_the_warehouses_of_its_rows(page: Any) -> None:
    assert isinstance(page, Reach)
    said = [
        bool(page.warehouse_paths),
        page.belongs_to_no_warehouse,
        page.all_warehouses_only,
        type(page).within is not Reach.within,
    ]
    assert sum(said) == 1


def test_a_list_without_warehouse_paths_shows_nothing_to_limited_staff(scene: Scene) -> None:
    levels = StockLevel.objects.all()
    assert not Reach().within(levels, INSIDE).exists()


def test_staff_act_within_the_warehouses_of_their_account() -> None:
    request = RequestFactory().post("/")
    request.META["inventory.request_id"] = "request-1"
    request.user = make_staff("manager", HERE, name="ada")
    actor = actor_of(request)
    assert (actor.name, actor.warehouse_codes, actor.store_codes) == ("ada", (HERE,), ())
