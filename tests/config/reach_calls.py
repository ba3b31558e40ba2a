"""For each service that takes an actor, a call about something out of the actor's reach."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from django.utils import timezone
from uuid_utils.compat import uuid7

import config.urls  # noqa: F401 - registers the pages whose reach is asked for below
from audit import clients
from audit.actors import Actor
from audit.errors import raise_refusal
from audit.webhooks import managing
from inventory.models import StockCount
from inventory.services.access import people, webhooks
from inventory.services.catalogue import freezing, master_data
from inventory.services.counts import documents as counts_documents
from inventory.services.counts import entering, opening, posting
from inventory.services.drafts import receiving
from inventory.services.low_stock import alerts, assignment, subscriptions
from inventory.services.stock import imports, level_settings, reasons, reversing
from inventory.services.transfers import commands as transfers
from inventory.services.transfers import drafting, redirecting
from inventory.services.transfers import reversing as transfers_reversing
from reservations.services.availability import explanation, recall
from reservations.services.bookkeeping import reconciliation
from reservations.services.holds import baskets, extending, lists, placing, reading, resolution, selling_by_hand
from reservations.services.holds.extending import ExtendRequest
from reservations.services.holds.lists import ListRequest
from reservations.services.holds.reading import ReadRequest
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest
from reservations.services.holds.selecting import Selector
from reservations.services.orders import settling
from reservations.services.shortages import incidents
from tests.config import reach_scenes as scenes
from tests.config.reach_scenes import BEYOND, HERE, THERE, Scene

Call = Callable[[Scene, Actor], Any]
CALLS: Final[dict[str, Call]] = {
    "people.put_access": scenes.put_access,
    "people.record_password": lambda scene, actor: people.record_password(actor, scene.user.pk),
    "clients.put_client": scenes.put_client,
    "clients.issue": lambda scene, actor: clients.issue(actor, scene.client.pk, days=1, claim=None),
    "clients.add_client": lambda scene, actor: clients.add_client(
        actor, name="new", role="viewer", store_codes=(), now=timezone.now()
    ),
    "clients.add_token": lambda scene, actor: clients.add_token(
        actor, scene.client, expires_at=None, now=timezone.now()
    ),
    "clients.revoke": lambda scene, actor: clients.revoke(actor, [scene.token], claim=None),
    "webhooks.create_webhook": lambda scene, actor: webhooks.create_webhook(actor, dict(scenes.WEBHOOK)),
    "webhooks.change_webhook": lambda scene, actor: webhooks.change_webhook(actor, scene.webhook, {"name": "other"}),
    "managing.visible_to": lambda scene, actor: managing.visible_to(actor),
    "managing.create": lambda scene, actor: managing.create(actor, dict(scenes.WEBHOOK)),
    "managing.change": lambda scene, actor: managing.change(actor, scene.webhook, {"name": "other"}),
    "managing.delete": lambda scene, actor: managing.delete(actor, scene.webhook),
    "managing.rotate": lambda scene, actor: managing.rotate(actor, scene.webhook, overlap_hours=1),
    "managing.send_test": lambda scene, actor: managing.send_test(actor, scene.webhook),
    "managing.resend_event": scenes.resent,
    "managing.resend_since": lambda scene, actor: managing.resend_since(actor, scene.webhook, timezone.now(), None),
    "managing.resend_failed": lambda scene, actor: managing.resend_failed(actor, scene.webhook),
    "freezing.freeze": lambda scene, actor: freezing.freeze(actor, freezing.warehouse(THERE), reason="fire"),
    "freezing.unfreeze": lambda scene, actor: freezing.unfreeze(actor, freezing.warehouse(THERE)),
    "master_data.put_product": scenes.put_product,
    "master_data.put_products": scenes.put_products,
    "master_data.put_warehouse": lambda scene, actor: master_data.put_warehouse(
        actor, THERE, claim=None, name="Other", type="MAIN"
    ),
    "stores.put_store": scenes.put_store,
    "documents.read_count": lambda scene, actor: counts_documents.read_count(scene.count, actor),
    "entering.enter_counts": scenes.entered,
    "entering.cancel_count": lambda scene, actor: entering.cancel_count(
        entering.CancelCountRequest(actor, scene.count)
    ),
    "opening.open_count": lambda scene, actor: opening.open_count(
        opening.OpenRequest(actor, THERE, StockCount.Scope.ALL.value)
    ),
    "opening.count_one": scenes.counted_one,
    "posting.post_count": lambda scene, actor: posting.post_count(posting.PostRequest(actor, scene.count)),
    "posting.preview_count": lambda scene, actor: posting.preview_count(scene.count, actor),
    "alerts.acknowledge": lambda scene, actor: alerts.acknowledge(scene.alert, actor),
    "assignment.assign": lambda scene, actor: scenes.seen(
        assignment.assign([scene.alert], scene.user.get_username(), actor).assigned
    ),
    "alerts.snooze": lambda scene, actor: alerts.snooze(scene.alert, timezone.now() + timedelta(days=1), actor),
    "subscriptions.choose_alerts": lambda scene, actor: subscriptions.choose_alerts(
        actor, scene.user.pk, "someone@example.com", codes=[THERE]
    ),
    "adjustments.apply_adjustments": scenes.adjusted,
    "reversing.reverse_document": lambda scene, actor: reversing.reverse_document(
        reversing.ReverseRequest(actor, scene.document, "mistake")
    ),
    "imports.foresee_import": lambda scene, actor: scenes.imported(imports.foresee_import(actor, scene.file)),
    "imports.plan_import": lambda scene, actor: scenes.imported(imports.plan_import(actor, scene.file, skip_bad=False)),
    "imports.import_stock": lambda scene, actor: scenes.imported(
        imports.import_stock(actor, scene.file, skip_bad=True)
    ),
    "level_settings.set_level": scenes.set_level,
    "level_settings.set_levels": lambda scene, actor: level_settings.set_levels(
        actor, [scene.level_change()], claim=None
    ),
    "places.find_places": lambda _scene, actor: scenes.found_place(actor),
    "places.places_beginning_so": lambda _scene, actor: scenes.begun_place(actor),
    "places.put_away": scenes.put_away,
    "reasons.put_reason": lambda scene, actor: reasons.put_reason(
        actor, uuid7(), text="Mice", kinds=["ADJUST"], is_active=True
    ),
    "commands.start_transfer": lambda scene, actor: transfers.start_transfer(scene.moved(actor)),
    "commands.draft_transfer": lambda scene, actor: transfers.draft_transfer(scene.moved(actor)),
    "commands.change_draft": scenes.changed_draft,
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
    "recall.read_recall": lambda scene, actor: scenes.seen(
        [level for level in recall.read_recall(actor, scene.product, days=7).levels if level.pk == scene.level.pk]
    ),
    "redirecting.redirect_transfer": lambda scene, actor: redirecting.redirect_transfer(
        redirecting.RedirectRequest(actor, scene.outgoing, BEYOND)
    ),
    "reversing.send_back": lambda scene, actor: transfers_reversing.send_back(
        transfers_reversing.SendBackRequest(actor, scene.arrived, "wrong place")
    ),
    "drafting.open_draft": lambda scene, actor: drafting.open_draft(actor, THERE, HERE),
    "drafting.change_lines": lambda scene, actor: drafting.change_lines(actor, scene.draft, scenes.line(scene)),
    "drafting.set_details": scenes.set_transfer_details,
    "receiving.take_over": lambda scene, actor: receiving.take_over(actor, scene.left_behind),
    "receiving.open_delivery": lambda scene, actor: receiving.open_delivery(actor, THERE, "PO-3"),
    "receiving.open_arrival": lambda scene, actor: receiving.open_arrival(actor, scene.incoming),
    "receiving.change_lines": lambda scene, actor: receiving.change_lines(
        actor, scene.deliveries[actor.name], scenes.line(scene)
    ),
    "receiving.set_details": scenes.set_details,
    "receiving.discard": lambda scene, actor: receiving.discard(actor, scene.deliveries[actor.name]),
    "posting.post_delivery": scenes.posted_delivery,
    "posting.post_arrival": scenes.posted_arrival,
    "availability.check_availability": scenes.checked,
    "availability.check_all": scenes.checked_together,
    "reading.read_product_levels": scenes.read_product,
    "reading.read_one_level": scenes.read_level,
    "listing.read_levels": scenes.listed,
    "explanation.explain": lambda scene, actor: scenes.seen(explanation.explain(actor, scene.product.pk, THERE).levels),
    "explanation.on_hand_at": scenes.then,
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
    "adjusted_levels.lock_at_once": "adjustments.apply_adjustments",
    "adjusted_levels.resolve": "adjustments.apply_adjustments",
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
