"""The pictures of docs/guides/staff.md: who sees each page, and the steps to it."""

from dataclasses import dataclass
from typing import Final

from tests.browser.screenshots.steps import (
    Steps,
    barcode_of,
    choose,
    choose_file,
    count,
    delivery,
    dialog,
    follow,
    go_to,
    open_row,
    press,
    scan,
    search,
    stay,
    submit,
    then,
    type_in,
    type_units,
)

WIDE: Final = 1280
PHONE: Final = (390, 760)


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture: the group of the user, the sidebar entry to click, and the steps to take there.

    ``entry`` is None for a page without a sidebar, which is the login page.
    """

    name: str
    group: str
    entry: str | None
    steps: Steps = stay
    size: tuple[int, int] = (WIDE, 660)
    shade: str = "light"

    @property
    def file(self) -> str:
        """Its name in docs/images/."""
        return f"{self.name}.png"


_TRANSFER: Final = then(
    press("New transfer"),
    choose("From", "wh-001"),
    choose("To", "wh-002"),
    press("Begin scanning"),
)
_NEW_TRANSFER: Final = then(
    _TRANSFER,
    scan("MUG-TI", "BEANIE", "BEANIE"),
    type_units("MUG-TI", "5"),
)
_TEXTILES: Final = then(
    press("Open a count"), choose("Warehouse", "wh-001"), choose("What", "ZONE"), type_in("Zone", "D")
)
_SETTINGS: Final = choose_file(
    "sku,warehouse,reorder_point,safety_stock,most_to_keep",
    "MUG-TI,wh-001,12,3,60",
    "SPORK,wh-001,70,10,300",
    "BEANIE,wh-001,15,3,60",
)

SHOTS: Final = (
    Shot("login", "warehouse", None, size=(WIDE, 640)),
    Shot("dashboard", "manager", "Dashboard", size=(WIDE, 900)),
    Shot("dashboard-dark", "manager", "Dashboard", size=(WIDE, 900), shade="dark"),
    Shot("stock", "warehouse", "Stock"),
    Shot("level", "warehouse", "Stock", search(barcode_of("FIRST-AID")), size=(WIDE, 980)),
    Shot(
        "stock-adjust",
        "warehouse",
        "Stock",
        then(
            search(barcode_of("FIRST-AID")),
            dialog("Adjust"),
            type_in("Difference", "-2"),
            type_in("In your own words", "fell off the shelf"),
        ),
        size=(WIDE, 740),
    ),
    Shot(
        "stock-adjusted",
        "warehouse",
        "Stock",
        then(
            search(barcode_of("FIRST-AID")),
            dialog("Adjust"),
            type_in("Difference", "-2"),
            type_in("In your own words", "fell off the shelf"),
            submit("Adjust", "31 → 29 on hand, 28 available"),
        ),
        size=(WIDE, 420),
    ),
    Shot("stock-phone", "warehouse", "Stock", size=PHONE),
    Shot("receive", "warehouse", "Receiving", delivery("DN-2044"), size=(WIDE, 760)),
    Shot(
        "receive-phone",
        "warehouse",
        "Receiving",
        then(delivery("DN-2045"), press("Review", "3 products, 34 units")),
        size=PHONE,
    ),
    Shot(
        "received",
        "warehouse",
        "Receiving",
        then(delivery("DN-2046"), press("Review"), press("Receive all", "Received 34 units on 3 lines")),
    ),
    Shot("transfer-new", "manager", "Transfers", _NEW_TRANSFER, size=(WIDE, 760)),
    Shot(
        "transfer",
        "manager",
        "Transfers",
        then(_TRANSFER, press("Review"), press("Send it now", "are on their way")),
        size=(WIDE, 800),
    ),
    Shot(
        "transfer-receive",
        "manager",
        "Transfers",
        then(open_row(), press("Receive"), type_units("BEANIE", "2")),
        size=(WIDE, 760),
    ),
    Shot(
        "transfer-received",
        "manager",
        "Transfers",
        then(
            open_row(),
            press("Receive"),
            press("Review"),
            press("Receive", "units still on the way."),
        ),
        size=(WIDE, 420),
    ),
    Shot(
        "count-phone",
        "warehouse",
        "Counts",
        then(_TEXTILES, press("Open and begin"), count("15", "22", "1")),
        size=PHONE,
    ),
    Shot("counts", "manager", "Counts", size=(WIDE, 420)),
    Shot(
        "count-post",
        "manager",
        "Counts",
        then(open_row("Chosen products"), press("Review and post")),
        size=(WIDE, 720),
    ),
    Shot(
        "count-posted",
        "manager",
        "Counts",
        then(
            open_row("Chosen products"),
            press("Review and post"),
            press("Update the selection", "will be cancelled"),
            press("Post", "1 reservation was cancelled: see Incidents."),
        ),
        size=(WIDE, 420),
    ),
    Shot("incident", "manager", "Incidents", then(open_row(), dialog("Resolve"))),
    Shot("reservations", "manager", "Reservations"),
    Shot("reservation-extend", "manager", "Reservations", then(open_row(), dialog("Extend"))),
    Shot(
        "reservation",
        "manager",
        "Reservations",
        then(open_row(), dialog("Extend"), submit("Extend", "Reserved until"), go_to("History of this reservation")),
    ),
    Shot("alert", "warehouse", "Alerts", then(open_row("MAT-FOAM"), dialog("Assign to me"))),
    Shot(
        "alerts",
        "warehouse",
        "Alerts",
        then(
            open_row("MAT-FOAM"),
            dialog("Assign to me"),
            submit("Assign to me", "is assigned to"),
            lambda page: follow(page, "Alerts"),
        ),
        size=(WIDE, 560),
    ),
    Shot("movements", "manager", "Movements"),
    Shot("audit", "manager", "Audit"),
    Shot("product", "manager", "Products", search("JKT-RAIN", open_row("JKT-RAIN")), size=(WIDE, 940)),
    Shot(
        "freeze",
        "manager",
        "Products",
        search("LANTERN", open_row("LANTERN"), dialog("Freeze"), type_in("Reason", "recalled by the maker")),
    ),
    Shot(
        "labels",
        "warehouse",
        "Warehouses",
        then(open_row("wh-001"), press("Print labels of places"), choose("Size", "70x37"), press("Show")),
        size=(WIDE, 520),
    ),
    Shot("import", "manager", "Stock", press("Import settings"), size=(WIDE, 900)),
    Shot("import-preview", "manager", "Stock", then(press("Import settings"), _SETTINGS)),
    Shot("token", "administrator", "API clients", then(open_row("demo-checkout"), dialog("Issue a token"))),
    Shot("person", "administrator", "People", open_row("demo-warehouse"), size=(WIDE, 820)),
)
