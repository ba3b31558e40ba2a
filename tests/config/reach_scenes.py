"""A scene with two warehouses in reach and one beyond, and the calls of services that need more than a line."""

import json
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from django.utils import timezone
from uuid_utils.compat import uuid7

import config.urls  # noqa: F401 - registers the pages whose reach is asked for below
from audit import clients
from audit.actors import Actor
from audit.authentication import issue_token
from audit.errors import NotFound, raise_refusal
from audit.models import ApiToken
from audit.webhooks import managing
from inventory.errors import UnknownWarehouse
from inventory.models import LowStockAlert, StockLevel, Warehouse
from inventory.services.access import people
from inventory.services.catalogue import master_data, stores
from inventory.services.catalogue.master_data import ProductChange, ProductFields
from inventory.services.counts import entering, opening
from inventory.services.counts.documents import ProductRef
from inventory.services.drafts import posting as draft_posting
from inventory.services.drafts import receiving
from inventory.services.drafts.lines import LineCommand
from inventory.services.drafts.receiving import DraftDetails
from inventory.services.stock import adjustments, level_settings, listing, places
from inventory.services.stock.import_files import COLUMNS, ImportFile, read_file
from inventory.services.stock.level_settings import LevelChange
from inventory.services.stock.reading import LevelRequest, ProductLevelsRequest, read_one_level, read_product_levels
from inventory.services.transfers import commands as transfers
from inventory.services.transfers import drafting
from inventory.services.transfers.commands import MoveLine, TransferRequest
from inventory.services.transfers.drafting import TransferDetails
from reservations.models import DeadLetter, ShortageIncident
from reservations.services.availability import availability, explanation
from reservations.services.holds.placing import HoldRequest
from reservations.services.holds.sourcing import RequestLine
from tests.factories import ACTOR, hold, make_client, make_product, make_store, receive
from tests.orders.sending import event
from tests.staff import make_staff

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


def imported(done: Any) -> Any:
    """Raise the refusal of an import, which is returned as an answer."""
    if done.bad:
        raise UnknownWarehouse(done.bad[0].detail)
    return done


def seen(levels: Any) -> Any:
    """Raise NotFound if no levels were returned: those out of reach are left out."""
    if not levels:
        raise NotFound("nothing is seen")
    return levels


def adjusted(scene: Scene, actor: Actor) -> Any:
    line = adjustments.Adjustment(scene.product.pk, None, THERE, 1, "RECEIPT", "came")
    return adjustments.apply_adjustments(adjustments.AdjustRequest(actor, (line,)))


def put_product(scene: Scene, actor: Actor) -> Any:
    return master_data.put_product(actor, uuid7(), parent_id=None, claim=None, sku="NEW", name="New")


def put_products(scene: Scene, actor: Actor) -> Any:
    return master_data.put_products(actor, [ProductChange(uuid7(), ProductFields("NEW", "New"))], claim=None)


def put_store(scene: Scene, actor: Actor) -> Any:
    return stores.put_store(actor, "new", name="New", ttl_minutes=None, priorities={HERE: 1}, claim=None)


def put_client(scene: Scene, actor: Actor) -> Any:
    return clients.put_client(actor, uuid7(), name="new", role="viewer", store_codes=())


def set_level(scene: Scene, actor: Actor) -> Any:
    changes = {"zone": "Z"}
    return level_settings.set_level(actor, scene.product.pk, THERE, changes=changes, claim=None)


def found_place(actor: Actor) -> places.Place:
    """A place that is out of reach is not found."""
    found = places.find_places(actor, f"{THERE}/Z-1")
    return required(found)


def begun_place(actor: Actor) -> places.Place:
    return required(places.places_beginning_so(actor, "pla", at_most=1))


def required(found: list[places.Place]) -> places.Place:
    if not found:
        raise NotFound("There is no such place.")
    return found[0]


def put_away(scene: Scene, actor: Actor) -> Any:
    place = places.Place(Warehouse.objects.get(code=THERE), "Z-1")
    return places.put_away(actor, place, scene.product.pk, claim=None)


def entered(scene: Scene, actor: Actor) -> Any:
    entries = (entering.EnteredCount(ProductRef(scene.product.pk), 95),)
    return entering.enter_counts(entering.EnterRequest(actor, scene.count, entries))


def counted_one(scene: Scene, actor: Actor) -> Any:
    other = StockLevel.objects.filter(warehouse__code=THERE).exclude(product=scene.product).latest("pk")
    return opening.count_one(scene.counted(actor, other.product_id), 3)


def changed_draft(scene: Scene, actor: Actor) -> Any:
    return transfers.change_draft(scene.draft, scene.moved(actor))


def line(scene: Scene) -> list[LineCommand]:
    return [LineCommand(uuid7(), scene.product.pk)]


def set_details(scene: Scene, actor: Actor) -> Any:
    seen = DraftDetails(THERE, "PO-1")
    return receiving.set_details(actor, scene.deliveries[actor.name], DraftDetails(THERE, "PO-2"), seen)


def set_transfer_details(scene: Scene, actor: Actor) -> Any:
    seen = TransferDetails(THERE, HERE)
    return drafting.set_details(actor, scene.draft, TransferDetails(THERE, HERE, "T-1"), seen)


def posted_delivery(scene: Scene, actor: Actor) -> Any:
    return draft_posting.post_delivery(draft_posting.PostDraftRequest(actor, scene.deliveries[actor.name], 2))


def posted_arrival(scene: Scene, actor: Actor) -> Any:
    return draft_posting.post_arrival(draft_posting.PostDraftRequest(actor, scene.arrivals[actor.name], 2))


def put_access(scene: Scene, actor: Actor) -> Any:
    return people.put_access(actor, scene.user.pk, warehouse_codes=[HERE], is_new=False, account_changes={})


def checked(scene: Scene, actor: Actor) -> Any:
    return availability.check_availability(actor, None, [availability.Query(scene.product.pk, None, 1, None)])


def checked_together(scene: Scene, actor: Actor) -> Any:
    query = availability.Query(scene.product.pk, None, 1, None)
    return raise_refusal(availability.check_all([availability.CheckRequest(actor, None, (query,))])[0])


def then(scene: Scene, actor: Actor) -> Any:
    return seen(explanation.on_hand_at(actor, scene.product.pk, THERE, timezone.now() - timedelta(hours=1)).levels)


def read_product(scene: Scene, actor: Actor) -> Any:
    return raise_refusal(read_product_levels([ProductLevelsRequest(actor, scene.product.pk, THERE)])[0])


def read_level(scene: Scene, actor: Actor) -> Any:
    return raise_refusal(read_one_level([LevelRequest(actor, scene.product.pk, THERE)])[0])


def listed(scene: Scene, actor: Actor) -> Any:
    found = listing.read_levels(listing.LevelFilter(actor, ids=(scene.product.pk,)), limit=200)
    return seen([level for level in found if level.warehouse_code == THERE])


WEBHOOK: Final = {"name": "new", "url": "https://example.com/"}


def resent(scene: Scene, actor: Actor) -> Any:
    """Resend an unknown event: only an actor who reaches the webhook gets the answer that there is no such event."""
    try:
        return managing.resend_event(actor, scene.webhook, uuid7())
    except NotFound as error:
        if "There is no event" not in error.detail:
            raise
