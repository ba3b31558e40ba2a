"""Keeps a copy of what a store can sell, in a file, and prints each change of it."""

import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

ADDRESS, TOKEN = os.environ["ADDRESS"], os.environ["TOKEN"]
STORE, FILE = os.environ["STORE"], os.environ["REPLICA_FILE"]
LINES = 200
RECHECK_SECONDS = 3600
LEVEL = "InventoryLevelChangedEvent"
OTHERS = "ProductChangedEvent,WarehouseChangedEvent,StoreChangedEvent,InventoryFrozenEvent,InventoryUnfrozenEvent"


class StartAnew(Exception):
    """The copy can't be continued by events."""


def call(method, path, body=None):
    """Send a request, again and again until it is answered. Returns the answer."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(
        f"{ADDRESS}/api/v1/{path}", json.dumps(body).encode() if body else None, headers, method=method
    )
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 410 or (error.code == 400 and path.startswith("events")):
                raise StartAnew(error.read().decode()) from error
            if error.code not in (429, 500, 502, 503, 504):
                sys.exit(f"{method} {path}: {error.code} {error.read().decode()}")
            time.sleep(int(error.headers.get("Retry-After", 1)))
        except (OSError, ValueError):
            time.sleep(1)


def get(path, **query):
    return call("GET", f"{path}?{urllib.parse.urlencode(query)}")


def article(of):
    return of.get("variantId", of["productId"])


def send(article, warehouse, sellable):
    """What a marketplace would be sent."""
    print(article, warehouse, sellable, flush=True)


class Replica:
    """`levels` has the version and the sellable units, by article and warehouse; `cursor` is how far the feed was read.

    An article is a variant, or a product without variants; `products` has the product of each.
    """

    def __init__(self):
        self.cursor, self.products, self.levels, self.checked = None, {}, {}, 0.0

    def load(self):
        try:
            with open(FILE) as file:
                self.cursor, self.products, self.levels = json.load(file)
        except FileNotFoundError:
            self.start()

    def save(self):
        with open(f"{FILE}.new", "w") as file:
            json.dump([self.cursor, self.products, self.levels], file)
        os.replace(f"{FILE}.new", FILE)

    def start(self):
        """Read all levels. The feed continues from the cursor of the first page."""
        old, self.products, self.levels = self.levels, {}, {}
        page = get("inventory/levels", storeId=STORE, limit=LINES)
        self.cursor = page["eventsCursor"]
        while True:
            for item in page["items"]:
                level = self.level(item)
                level["version"] = item["version"]
                level["sellable"] = old.get(article(item), {}).pop(item["warehouseId"], level)["sellable"]
            if page["next"] is None:
                break
            page = get("inventory/levels", storeId=STORE, limit=LINES, cursor=page["next"])
        for gone, warehouses in old.items():
            for warehouse in warehouses:
                send(gone, warehouse, 0)
        self.check(self.levels)
        self.save()

    def level(self, of):
        """The level that an item or an event is about."""
        self.products[article(of)] = of["productId"]
        warehouses = self.levels.setdefault(article(of), {})
        return warehouses.setdefault(of["warehouseId"], {"version": 0, "sellable": None})

    def check(self, articles):
        """Request the sellable units of these articles."""
        asked = sorted(articles)
        for part in (asked[n : n + LINES] for n in range(0, len(asked), LINES)):
            lines = [{"productId": each, "quantity": 1} for each in part]
            answer = call("POST", "inventory/check-availability", {"storeId": STORE, "items": lines})
            for each, item in zip(part, answer["items"]):
                units = {at["warehouseId"]: at["availableQuantity"] for at in item.get("warehouses", ())}
                for warehouse, level in self.levels[each].items():
                    self.set(level, each, warehouse, units.get(warehouse, 0))

    def set(self, level, of, warehouse, sellable):
        if level["sellable"] != sellable:
            level["sellable"] = sellable
            send(of, warehouse, sellable)

    def apply(self, event):
        """Apply an event. Returns the articles whose sellable units must be requested."""
        fields = event["payload"]
        if event["type"] == LEVEL:
            level = self.level(fields)
            if fields["version"] <= level["version"]:
                return set()
            if fields["previousVersion"] > level["version"]:
                raise StartAnew(f"events are missing before {event['eventId']}")
            level["version"] = fields["version"]
            self.set(level, article(fields), fields["warehouseId"], fields["sellable"].get(STORE, 0))
            return set()
        if event["type"] == "StoreChangedEvent":
            raise StartAnew("the store may sell from other warehouses")
        if "productId" in fields:
            named = article(fields)
            return {each for each, product in self.products.items() if named in (each, product)}
        return set(self.levels)

    def follow(self):
        """Apply the next page of the feed, and store how far it was read."""
        page = get("events", after=self.cursor, storeId=STORE, types=f"{LEVEL},{OTHERS}", limit=1000, wait=30)
        to_check = set().union(*map(self.apply, page["events"]))
        if time.time() - self.checked > RECHECK_SECONDS:
            self.checked, to_check = time.time(), set(self.levels)
        self.check(to_check)
        if page["cursor"] != self.cursor:
            self.cursor = page["cursor"]
            self.save()


replica = Replica()
replica.load()
while True:
    try:
        replica.follow()
    except StartAnew as reason:
        print("Starting anew:", reason, file=sys.stderr, flush=True)
        replica.start()
