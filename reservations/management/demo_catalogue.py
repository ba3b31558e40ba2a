"""The catalogue of the demonstration shop, which sells outdoor gear, with today's on hand of each level.

Ids are the same in every installation, so that a walk-through can name them: ``product_id("TENT-2P")`` is
``uuid5(uuid5(NAMESPACE_URL, "inventory-reservation/demo"), "TENT-2P")``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

NAMESPACE: Final = uuid5(NAMESPACE_URL, "inventory-reservation/demo")

UNTOUCHED: Final = ("TENT-2P", "BOTTLE-750", "LAMP-HEAD")
"""Products that no hold of the demonstration uses: 5 + 3 tents, hundreds of bottles and, in wh-002, the last headlamp.
"""

PLACES: Final = ("wh-001", "wh-002", "wh-003")

WAREHOUSES: Final = (
    {
        "code": "wh-001",
        "name": "Innsbruck central warehouse",
        "type": "MAIN",
        "address": {"street": "Industriestraße 14", "postalCode": "6020", "city": "Innsbruck", "country": "AT"},
        "contact_info": {"name": "Maria Keller", "email": "dispatch@shop.example", "phone": "+43 512 0000 10"},
        "capabilities": {"pick": True, "pack": True, "returns": True, "hazardousGoods": True},
    },
    {
        "code": "wh-002",
        "name": "Munich store room",
        "type": "SECONDARY",
        "address": {"street": "Am Lager 3", "postalCode": "80939", "city": "München", "country": "DE"},
        "contact_info": {"name": "Jonas Brandt", "email": "munich@shop.example", "phone": "+49 89 0000 20"},
        "capabilities": {"pick": True, "pack": True, "clickAndCollect": True},
    },
    {
        "code": "wh-003",
        "name": "Trailworks, supplier",
        "type": "DROPSHIP",
        "address": {"street": "Via del Commercio 8", "postalCode": "39100", "city": "Bolzano", "country": "IT"},
        "contact_info": {"name": "Trailworks order desk", "email": "orders@trailworks.example"},
        "capabilities": {"dropship": True},
    },
)

STORES: Final = (
    ("main", "Outdoor shop", 15, ("wh-001", "wh-002", "wh-003")),
    ("outlet", "Outlet", 10, ("wh-002", "wh-003")),
)
"""Code, name, hold time in minutes, and warehouses, the preferred one first. The first store is the default."""


@dataclass(frozen=True, slots=True)
class Article:
    """A product. ``daily`` are the units sold per day from wh-001; ``on_hand`` is in the order of ``PLACES``, with None
    for no level."""

    sku: str
    name: str
    cost: Decimal = Decimal(0)
    daily: float = 0
    on_hand: tuple[int | None, int | None, int | None] = (None, None, None)
    safety_stock: int = 0
    parent: str = ""
    is_active: bool = True
    listing_days: int | None = None

    @property
    def id(self) -> UUID:
        """The product's id, which is the same in every installation."""
        return product_id(self.sku)


def product_id(sku: str) -> UUID:
    """The id of the demonstration product with this SKU."""
    return uuid5(NAMESPACE, sku)


def barcode(number: int) -> str:
    """A valid EAN-13 from the range for a shop's internal use (prefix 20)."""
    digits = f"20{number:010d}"
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return f"{digits}{-total % 10}"


def _one(
    sku: str,
    name: str,
    cost: str,
    daily: float,
    *on_hand: int | None,
    safety_stock: int = 0,
    is_active: bool = True,
    listing_days: int | None = None,
) -> list[Article]:
    first, second, third = on_hand
    return [
        Article(
            sku,
            name,
            Decimal(cost),
            daily,
            (first, second, third),
            safety_stock,
            is_active=is_active,
            listing_days=listing_days,
        )
    ]


def _variants(
    sku: str, name: str, cost: str, daily: float, *variants: tuple[str, int | None, int | None, int | None]
) -> list[Article]:
    """A parent without stock of its own, and its variants, which share its daily sales."""
    share = round(daily / len(variants), 2)
    return [Article(sku, name)] + [
        Article(f"{sku}-{size}", f"{name}, {size}", Decimal(cost), share, (first, second, third), parent=sku)
        for size, first, second, third in variants
    ]


ZONES: Final[dict[str, list[list[Article]]]] = {
    "A": [
        _one("TENT-1P", "Ridgeline tent, 1 person", "84.50", 0.4, 9, 4, None),
        _one("TENT-2P", "Ridgeline tent, 2 persons", "112.00", 0.5, 5, 3, None),
        _one("TENT-3P", "Ridgeline tent, 3 persons", "139.00", 0.6, 3, 6, None),
        _one("TENT-4P", "Basecamp family tent, 4 persons", "198.00", 0.3, 6, None, 12),
        _one("TARP-3X3", "Tarp, 3 × 3 m", "31.20", 1.2, 24, 11, None),
        _one("PEGS-10", "Y-pegs, set of 10", "6.90", 5, 130, 60, None, safety_stock=10),
        _one("GROUND-2P", "Groundsheet, 2 persons", "17.40", 0.8, 0, 4, None),
    ],
    "B": [
        _variants("BAG-3S", "Three-season sleeping bag", "62.00", 1.6, ("Regular", 21, 9, None), ("Long", 14, 2, None)),
        _one("BAG-WIN", "Winter sleeping bag, −15 °C", "118.00", 0.3, 5, None, 8),
        _one("MAT-AIR", "Air mat, insulated", "44.00", 1.5, 33, 12, None, safety_stock=2),
        _one("MAT-FOAM", "Foam mat", "9.80", 2.2, 7, 30, 80),
        _one("PILLOW-AIR", "Inflatable pillow", "8.10", 1.8, 41, 15, None),
        _one("LINER-SILK", "Silk liner", "21.50", 0.5, 0, 0, 6),
    ],
    "C": [
        _variants(
            "PACK-22",
            "Daypack, 22 l",
            "27.90",
            2.4,
            ("Black", 24, 9, None),
            ("Green", 5, 7, None),
            ("Blue", 17, 3, None),
        ),
        _one("PACK-45", "Trekking pack, 45 l", "71.00", 0.9, 15, 5, None),
        _one("PACK-65", "Trekking pack, 65 l", "89.00", 0.5, 1, 4, 10),
        _one("COVER-65", "Rain cover for packs", "7.60", 1.3, 29, 14, None),
        _one("DRYBAG-10", "Dry bag, 10 l", "6.20", 2.6, 58, 26, None, safety_stock=5),
        _one("DRYBAG-20", "Dry bag, 20 l", "8.40", 2.0, 12, 21, None, safety_stock=5),
    ],
    "D": [
        _variants(
            "JKT-RAIN",
            "Rain jacket",
            "54.00",
            3.2,
            ("S", 15, 8, None),
            ("M", 22, 6, None),
            ("L", 4, 9, None),
            ("XL", 0, 5, None),
        ),
        _variants(
            "FLEECE", "Fleece pullover", "29.00", 2.1, ("S", 13, 6, None), ("M", 16, 5, None), ("L", 19, 1, None)
        ),
        _variants(
            "TEE-MER", "Merino T-shirt", "22.00", 3.0, ("S", 21, 9, None), ("M", 27, 11, None), ("L", 6, 8, None)
        ),
        _variants("SOCK-HIKE", "Hiking socks", "6.40", 4.0, ("36-38", 34, 18, None), ("39-41", 52, 23, None)),
        _one("BEANIE", "Merino beanie", "8.90", 1.1, 26, 12, None),
        _one("GLOVES-L", "Liner gloves", "10.20", 0.9, 18, 7, None, listing_days=45),
    ],
    "E": [
        _variants(
            "BOOT-MID",
            "Hiking boot, mid",
            "76.00",
            3.5,
            ("40", 12, 4, None),
            ("41", 15, 5, None),
            ("42", 3, 6, None),
            ("43", 18, 2, None),
            ("44", 9, 0, None),
        ),
        _one("GAITER", "Gaiters", "16.80", 0.6, 13, 5, None),
    ],
    "F": [
        _one("STOVE-GAS", "Gas stove, 90 g", "24.50", 1.4, 28, 10, None),
        _one("GAS-230", "Gas canister, 230 g", "3.90", 9, 190, None, None, safety_stock=20),
        _one("GAS-450", "Gas canister, 450 g", "5.70", 5, 31, None, None, safety_stock=10),
        _one("POT-1L", "Titanium pot, 1 l", "26.00", 0.8, 16, 6, None),
        _one("BOTTLE-750", "Bottle, 750 ml", "7.20", 8, 240, 90, None),
        _one("MUG-TI", "Titanium mug", "14.10", 1.0, 22, 8, None),
        _one("SPORK", "Spork", "1.30", 6, 145, 70, None),
        _one("FILTER-W", "Water filter", "23.00", 1.1, 0, 0, None),
        _one("FOOD-PASTA", "Trail meal, pasta", "3.40", 7, 160, None, 400),
        _one("FOOD-CURRY", "Trail meal, lentil curry", "3.60", 6, 42, None, 350),
    ],
    "G": [
        _one("LAMP-HEAD", "Headlamp, 400 lm", "19.90", 2.5, 64, 1, None),
        _one("LANTERN", "Camp lantern", "17.30", 0.7, 14, 5, None),
        _one("POLES", "Trekking poles, pair", "38.00", 1.3, 8, 12, 25),
        _one("KNIFE", "Folding knife", "18.60", 0.9, 20, None, None),
        _one("COMPASS", "Compass", "12.40", 0.4, 11, 3, None),
        _one("FIRST-AID", "First aid kit", "13.70", 1.2, 31, 9, None, safety_stock=3),
        _one("MAP-2025", "Hut guide, last year's edition", "6.00", 0.2, 17, None, None, listing_days=-20),
        _one("WAX-100", "Boot wax, 100 ml (discontinued)", "2.90", 0.2, 6, None, None, is_active=False),
    ],
}
"""Articles by the warehouse zone that they are stored in."""


def articles() -> Iterator[tuple[str, Article]]:
    """All articles with their zones, parents before their variants."""
    for zone, families in ZONES.items():
        for family in families:
            for article in family:
                yield zone, article
