"""Descriptions of the properties and parameters that many schemas and operations share, by name.

Those of a single schema stand with its field, as ``Meta(description=…)``, which wins over the text here.
"""

from typing import Final

PROPERTIES: Final = {
    "acknowledgedAt": "When somebody acknowledged it; null if nobody has.",
    "acknowledgedBy": "Who acknowledged it; null if nobody has.",
    "actor": "Who did it: the name of an API client, a person or a program.",
    "adjustmentId": "The adjustment's id, `adj-<uuid>`.",
    "alertId": "The alert's id, `alr-<uuid>`.",
    "cancelledAt": "When it was cancelled; null if it was not.",
    "cancelledBy": "Who cancelled it; empty if it was not cancelled.",
    "cartId": "The caller's own id of the cart.",
    "consumedAt": "When the reservation was consumed; null if it was not.",
    "countId": "The count's id, `cnt-<uuid>`.",
    "createdAt": "When it was created.",
    "customerId": "The caller's own id of the customer.",
    "eventId": "The event's id, `ev-<uuid>`.",
    "expectedDelivery": "When the units are expected at the destination; null if that is not known.",
    "expectedVersion": "The `version` that the caller has read: if it has changed since, the answer is 409.",
    "expiresAt": "When the reservation expires.",
    "expiresInSeconds": "The seconds until `expiresAt`, at least 0: the caller's clock may be wrong.",
    "frozen": "The freeze in force, which refuses new reservations; null if there is none.",
    "fromWarehouseId": "The code of the warehouse that the units come from.",
    "incidentId": "The incident's id, `inc-<uuid>`.",
    "isActive": "Whether it is in use. What is not in use takes no new reservations.",
    "listingExpiresAt": "When the product's listing ends: it takes no new reservations from then on; null for never.",
    "location": "Where in the warehouse the units are.",
    "maxHoldsPerCustomer": "The most reservations that one customer or cart may make in the window; null for no limit.",
    "maxStockLevel": "The units of a full level; null if there is no such figure.",
    "maxUnitsPerCustomer": "The most units that one customer or cart may hold at a time; null for no limit.",
    "minStockLevel": "The safety stock: units that are never sold.",
    "movementId": "The movement's id, `mv-<uuid>`.",
    "name": "The name.",
    "next": "The `cursor` of the next page; null on the last page.",
    "note": "A note for the people who read the history.",
    "openedAt": "When it was opened.",
    "openedBy": "Who opened it.",
    "orderId": "The caller's own id of the order.",
    "postedAt": "When the count was posted; null if it was not.",
    "postedBy": "Who posted the count; empty if nobody has.",
    "productId": "The product's id; the parent's, if a variant is concerned.",
    "productName": "The product's name.",
    "productSku": "The product's SKU.",
    "quantity": "The number of units.",
    "quantityAvailable": "The units on hand that no reservation holds: `quantityOnHand` − `quantityReserved`.",
    "quantityOnHand": "The units in the warehouse, with those that reservations hold.",
    "quantityReserved": "The units that reservations hold.",
    "reacquiredFrom": "The expired reservation that this one replaced, `res-<uuid>`; absent if it replaced none.",
    "reason": "The reason, in words.",
    "reference": "The number of a document, such as a delivery note.",
    "releasedAt": "When the reservation was released; null if it was not.",
    "reorderPoint": "The available units at which the level is low; null if it has no reorder point.",
    "reorderQuantity": "The units that are ordered at a time; null if there is no such figure.",
    "requestId": "The `X-Request-ID` of the request.",
    "reservationId": "The reservation's id, `res-<uuid>`.",
    "severity": "How low the level is: `CRITICAL` is the worse.",
    "sku": "The product's SKU.",
    "storeId": "The store's code.",
    "toWarehouseId": "The code of the warehouse that the units go to.",
    "transferId": "The transfer's id, `tr-<uuid>`.",
    "ttlMinutes": "How long the store's reservations last, in minutes; null for the service's default.",
    "unitPrice": "The price of one unit, in the caller's currency.",
    "variantId": "The variant's id, if a variant is concerned.",
    "version": "Rises with each change: send it as `expectedVersion` to change only what you have read.",
    "warehouseId": "The warehouse's code.",
    "warehouseName": "The warehouse's name.",
    "webhookId": "The webhook's id, `hook-<uuid>`.",
}
"""By the name of the property."""

PARAMETERS: Final = {
    **{
        name: PROPERTIES[name]
        for name in ("alertId", "cartId", "countId", "incidentId", "reservationId", "transferId", "webhookId")
    },
    "cursor": "Continues a list: the `next` of the page before.",
    "limit": "The most items of the page.",
    "productId": "The product's id, or a variant's.",
    "storeId": "The store's code.",
    "warehouseId": "The warehouse's code.",
}
"""By the name of the parameter."""
