"""`make screenshots`: takes the pictures of docs/guides/staff.md from a temporary service.

Starts the demonstration in a folder of its own on a free port, does a day's work over its API, opens the system's
Chromium, logs in as the group that each page is for, and writes docs/images/. It ends what it started, at the latest
when ``SECONDS`` are over.
"""

import contextlib
import functools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, Error, Locator, Page, Response, expect, sync_playwright

from reservations.management.demo_catalogue import articles, barcode, product_id
from tests.browser.pages import CHROMIUM, QUIET

ROOT: Final = Path(__file__).resolve().parent.parent.parent
IMAGES: Final = ROOT / "docs" / "images"
SECONDS: Final = 300
MOST_BYTES: Final = 150_000
WIDE: Final = 1280
PHONE: Final = (390, 760)
_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))

_STILL: Final = """async () => {
    await document.fonts.ready;
    await Promise.all(document.getAnimations().map(animation => animation.finished.catch(() => null)));
}"""

Steps = Callable[[Page], None]


def _stay(page: Page) -> None:
    """The page as its entry opens it."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture: the group of the user, the sidebar entry to click, and the steps to take there.

    ``entry`` is None for a page without a sidebar, which is the login page.
    """

    name: str
    group: str
    entry: str | None
    steps: Steps = _stay
    size: tuple[int, int] = (WIDE, 660)
    shade: str = "light"

    @property
    def file(self) -> str:
        """Its name in docs/images/."""
        return f"{self.name}.png"


def _then(*steps: Steps) -> Steps:
    """One after the other."""

    def go(page: Page) -> None:
        for step in steps:
            step(page)

    return go


def _search(words: str, *steps: Steps) -> Steps:
    """Search for these words, followed by Enter, as a scanner types."""

    def search(page: Page) -> None:
        page.locator("#searchbar").fill(words)
        page.locator("#searchbar").press("Enter")
        settle(page)
        _then(*steps)(page)

    return search


def _open(words: str = "") -> Steps:
    """Open the first row with these words."""

    def click(page: Page) -> None:
        page.locator("#result_list tbody tr").filter(has_text=words).get_by_role("link").first.click()
        settle(page)

    return click


def _named(page: Page, name: str) -> Locator:
    """A link or button, with or without a sign before its name. A phone has a page's actions behind a button."""
    exactly = re.compile(rf"(^|\s){re.escape(name)}\s*$")
    named = page.locator("a, button").filter(has_text=exactly)
    if not named.filter(visible=True).count():
        page.locator("[x-on\\:click='showActions = !showActions']").click()
    return named.filter(visible=True).last


def _dialog(name: str) -> Steps:
    """Open the dialog of one of the page's buttons."""

    def ask(page: Page) -> None:
        _named(page, name).click()
        expect(page.get_by_role("dialog")).to_be_visible()

    return ask


def _submit(button: str, said: str) -> Steps:
    """Click the dialog's button, and wait for the console's message."""

    def submit(page: Page) -> None:
        page.get_by_role("dialog").get_by_role("button", name=button, exact=True).click()
        expect(page.get_by_text(said).first).to_be_visible()
        settle(page)

    return submit


def _to(words: str) -> Steps:
    """Scroll to these words."""
    return lambda page: page.get_by_text(words, exact=True).first.evaluate("e => e.scrollIntoView(true)") and None


def _press(name: str, said: str = "") -> Steps:
    """Click a button or a link of the page, and wait for the console's message."""

    def press(page: Page) -> None:
        _named(page, name).click()
        if said:
            expect(page.get_by_text(said).first).to_be_visible()
        settle(page)

    return press


def _choose(label: str, value: str) -> Steps:
    """Choose an option of a form's field."""
    return lambda page: page.get_by_label(label).first.select_option(value) and None


def _type(label: str, words: str) -> Steps:
    """Fill a field of a form."""
    return lambda page: page.get_by_label(label).first.fill(words)


def _file(*lines: str) -> Steps:
    """Upload a file of these lines for a preview."""

    def choose(page: Page) -> None:
        content = "\n".join(lines).encode()
        file: Any = {"name": "file.csv", "mimeType": "text/csv", "buffer": content}
        page.locator("input[type=file]").set_input_files(file)
        _named(page, "Preview").click()
        settle(page)

    return choose


def _scan(*codes: str) -> Steps:
    """As a wedge scanner does: types quickly, and presses Enter."""

    def scan(page: Page) -> None:
        field = page.get_by_label("Scan or type a SKU or barcode")
        field.focus()
        for code in codes:
            page.keyboard.type(code)
            with page.expect_response(lambda answer: answer.request.method == "POST"):
                page.keyboard.press("Enter")
            expect(field).to_have_value("")
            settle(page)

    return scan


def _count(*units: str) -> Steps:
    """Enter counted units line by line, each with Enter."""

    def count(page: Page) -> None:
        for counted in units:
            field = page.get_by_label("How many are there?")
            expect(field).to_be_focused()
            field.fill(counted)
            field.press("Enter")
            expect(page.get_by_text(f": {counted} counted.").first).to_be_visible()
        settle(page)

    return count


def _barcode_of(sku: str) -> str:
    skus = [article.sku for _, article in articles()]
    return barcode(skus.index(sku) + 1)


def _delivery(reference: str) -> Steps:
    """Scan a delivery with this reference: each picture has a draft of its own."""
    return _then(
        _press("Receive a delivery"),
        _choose("Warehouse", "wh-001"),
        _type("Reference", reference),
        _begin,
        _scan(_barcode_of("STOVE-GAS"), _barcode_of("STOVE-GAS"), "GROUND-2P", "JKT-RAIN-XL"),
        _type_units("GROUND-2P", "12"),
        _type_units("JKT-RAIN-XL", "20"),
    )


def _begin(page: Page) -> None:
    """Begin scanning, unless the page of the draft is open already: who works in one warehouse can scan at once."""
    button = page.get_by_role("button", name="Begin scanning")
    if button.is_visible():
        button.click()
    else:
        with page.expect_response(lambda answer: answer.request.method == "POST"):
            page.keyboard.press("Tab")
    settle(page)


def _type_units(sku: str, units: str) -> Steps:
    """Type the units of a line, and wait until they are saved."""

    def type_units(page: Page) -> None:
        page.get_by_label(f"Units of {sku}").fill(units)
        with page.expect_response(lambda answer: answer.request.method == "POST"):
            page.keyboard.press("Tab")
        settle(page)

    return type_units


_TRANSFER: Final = _then(
    _press("New transfer"),
    _choose("From", "wh-001"),
    _choose("To", "wh-002"),
    _press("Begin scanning"),
)
_NEW_TRANSFER: Final = _then(
    _TRANSFER,
    _scan("MUG-TI", "BEANIE", "BEANIE"),
    _type_units("MUG-TI", "5"),
)
_TEXTILES: Final = _then(
    _press("Open a count"), _choose("Warehouse", "wh-001"), _choose("What", "ZONE"), _type("Zone", "D")
)
_SETTINGS: Final = _file(
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
    Shot("level", "warehouse", "Stock", _search(_barcode_of("FIRST-AID")), size=(WIDE, 980)),
    Shot(
        "stock-adjust",
        "warehouse",
        "Stock",
        _then(
            _search(_barcode_of("FIRST-AID")),
            _dialog("Adjust"),
            _type("Difference", "-2"),
            _type("In your own words", "fell off the shelf"),
        ),
        size=(WIDE, 740),
    ),
    Shot(
        "stock-adjusted",
        "warehouse",
        "Stock",
        _then(
            _search(_barcode_of("FIRST-AID")),
            _dialog("Adjust"),
            _type("Difference", "-2"),
            _type("In your own words", "fell off the shelf"),
            _submit("Adjust", "31 → 29 on hand, 28 available"),
        ),
        size=(WIDE, 420),
    ),
    Shot("stock-phone", "warehouse", "Stock", size=PHONE),
    Shot("receive", "warehouse", "Receiving", _delivery("DN-2044"), size=(WIDE, 760)),
    Shot(
        "receive-phone",
        "warehouse",
        "Receiving",
        _then(_delivery("DN-2045"), _press("Review", "3 products, 34 units")),
        size=PHONE,
    ),
    Shot(
        "received",
        "warehouse",
        "Receiving",
        _then(_delivery("DN-2046"), _press("Review"), _press("Receive all", "Received 34 units on 3 lines")),
    ),
    Shot("transfer-new", "manager", "Transfers", _NEW_TRANSFER, size=(WIDE, 760)),
    Shot(
        "transfer",
        "manager",
        "Transfers",
        _then(_TRANSFER, _press("Review"), _press("Send it now", "are on their way")),
        size=(WIDE, 800),
    ),
    Shot(
        "transfer-receive",
        "manager",
        "Transfers",
        _then(_open(), _press("Receive"), _type_units("BEANIE", "2")),
        size=(WIDE, 760),
    ),
    Shot(
        "transfer-received",
        "manager",
        "Transfers",
        _then(
            _open(),
            _press("Receive"),
            _press("Review"),
            _press("Receive", "units still on the way."),
        ),
        size=(WIDE, 420),
    ),
    Shot(
        "count-phone",
        "warehouse",
        "Counts",
        _then(_TEXTILES, _press("Open and begin"), _count("15", "22", "1")),
        size=PHONE,
    ),
    Shot("counts", "manager", "Counts", size=(WIDE, 420)),
    Shot(
        "count-post",
        "manager",
        "Counts",
        _then(_open("Chosen products"), _press("Review and post")),
        size=(WIDE, 720),
    ),
    Shot(
        "count-posted",
        "manager",
        "Counts",
        _then(
            _open("Chosen products"),
            _press("Review and post"),
            _press("Update the selection", "will be cancelled"),
            _press("Post", "1 reservation was cancelled: see Incidents."),
        ),
        size=(WIDE, 420),
    ),
    Shot("incident", "manager", "Incidents", _then(_open(), _dialog("Resolve"))),
    Shot("reservations", "manager", "Reservations"),
    Shot("reservation-extend", "manager", "Reservations", _then(_open(), _dialog("Extend"))),
    Shot(
        "reservation",
        "manager",
        "Reservations",
        _then(_open(), _dialog("Extend"), _submit("Extend", "Reserved until"), _to("History of this reservation")),
    ),
    Shot("alert", "warehouse", "Alerts", _then(_open("MAT-FOAM"), _dialog("Assign to me"))),
    Shot(
        "alerts",
        "warehouse",
        "Alerts",
        _then(
            _open("MAT-FOAM"),
            _dialog("Assign to me"),
            _submit("Assign to me", "is assigned to"),
            lambda page: follow(page, "Alerts"),
        ),
        size=(WIDE, 560),
    ),
    Shot("movements", "manager", "Movements"),
    Shot("audit", "manager", "Audit"),
    Shot("product", "manager", "Products", _search("JKT-RAIN", _open("JKT-RAIN")), size=(WIDE, 940)),
    Shot(
        "freeze",
        "manager",
        "Products",
        _search("LANTERN", _open("LANTERN"), _dialog("Freeze"), _type("Reason", "recalled by the maker")),
    ),
    Shot(
        "labels",
        "warehouse",
        "Warehouses",
        _then(_open("wh-001"), _press("Print labels of places"), _choose("Size", "70x37"), _press("Show")),
        size=(WIDE, 520),
    ),
    Shot("import", "manager", "Stock", _press("Import settings"), size=(WIDE, 900)),
    Shot("import-preview", "manager", "Stock", _then(_press("Import settings"), _SETTINGS)),
    Shot("token", "administrator", "API clients", _then(_open("demo-checkout"), _dialog("Issue a token"))),
    Shot("person", "administrator", "People", _open("demo-warehouse"), size=(WIDE, 820)),
)


# ------------------------------------------------------------------------------------------------------------- service


@dataclass(frozen=True, slots=True)
class Service:
    """A demonstration that runs: its address, the password of all its accounts, and tokens by role."""

    address: str
    password: str
    tokens: dict[str, str]

    def call(self, method: str, path: str, body: Any, role: str = "manager") -> Any:
        """Call the API. Returns the answer; raises HTTPError for a refusal."""
        request = urllib.request.Request(
            f"{self.address}/api/v1/inventory/{path}",
            json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.tokens[role]}", "Content-Type": "application/json"},
            method=method,
        )
        with _OPENER.open(request, timeout=30) as answer:
            return json.load(answer)


@contextlib.contextmanager
def demonstration() -> Iterator[Service]:
    """`python -m config.demo` on a free loopback port, with data of its own, which are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="inventory-screenshots-"))
    # The servers may run under another account, which needs access to the folder.
    folder.chmod(0o711)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": os.defpath,
        "DATA_DIR": os.fspath(folder / "var"),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DEBUG": "true",
        # Ends with this process, as it does with make.
        "MAKELEVEL": "1",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "config.demo", "--env-file", os.fspath(folder / "var" / "demo.env")],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health/ready", process, folder / "log")
        credentials = json.loads((folder / "var" / "demo.json").read_text())
        yield Service(f"http://127.0.0.1:{port}", credentials["staff"]["password"], credentials["tokens"])
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        deadline = time.monotonic() + 20
        while (folder / "var" / "embedded.json").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), _OPENER.open(address, timeout=5):
            return
        time.sleep(0.1)
    sys.exit(f"The service did not start:\n{log.read_text(errors='replace')}")


def work(service: Service) -> None:
    """Make a day's documents: transfers in several states, an open count, a loss that breaks a hold."""
    way = {"fromWarehouseId": "wh-001", "toWarehouseId": "wh-002"}

    def transfer(*lines: tuple[str, int], **more: Any) -> str:
        items = [{"productId": str(product_id(sku)), "quantity": quantity, **way} for sku, quantity in lines]
        return str(service.call("POST", "transfer", {"items": items, **more})["transferId"])

    arrived = transfer(("PILLOW-AIR", 4), ("COVER-65", 2), reference="TR-0411")
    service.call("POST", f"transfer/{arrived}/receive", {})
    partly = transfer(("BOTTLE-750", 24), ("SPORK", 20), ("MUG-TI", 4), reference="TR-0412")
    items = [{"productId": str(product_id("BOTTLE-750")), "quantityReceived": 18}]
    service.call("POST", f"transfer/{partly}/receive", {"items": items})
    transfer(("PEGS-10", 30), ("TARP-3X3", 3), reference="TR-0413")
    transfer(("SOCK-HIKE-36-38", 10), reference="TR-0414", draft=True)

    scope = {"warehouseId": "wh-001", "scope": "ZONE", "recountShare": 0.1}
    count = service.call("POST", "counts", {**scope, "zone": "G"})["countId"]
    for sku, counted in (("COMPASS", 11), ("FIRST-AID", 30), ("KNIFE", 12)):
        line = {"productId": str(product_id(sku)), "counted": counted}
        service.call("PUT", f"counts/{count}/lines", {"lines": [line]})

    lines = [{"productId": str(product_id(sku))} for sku in ("TENT-4P", "GAS-450")]
    short = service.call("POST", "counts", {"warehouseId": "wh-001", "scope": "PRODUCTS", "products": lines})["countId"]
    for line, counted in zip(lines, (0, 30), strict=True):
        service.call("PUT", f"counts/{short}/lines", {"lines": [{**line, "counted": counted}]})
    for sku, sold in (("JKT-RAIN-L", 2), ("BOOT-MID-42", 1), ("PACK-22-Green", 3), ("MAT-FOAM", 2), ("POT-1L", 14)):
        line = {"productId": str(product_id(sku)), "warehouseId": "wh-001", "quantity": sold, "type": "SHIPMENT"}
        service.call("PUT", "adjust", {"adjustments": [{**line, "reason": "sold at the counter"}]})
    loss = {"productId": str(product_id("PACK-65")), "warehouseId": "wh-001", "quantity": -1, "type": "ADJUSTMENT"}
    service.call("PUT", "adjust", {"adjustments": [{**loss, "reason": "torn by the forklift", "force": True}]})


# ------------------------------------------------------------------------------------------------------------- browser


def settle(page: Page) -> None:
    """Wait until requests have ended, fonts are loaded and charts are at rest."""
    for _ in range(3):
        page.wait_for_timeout(150)
        page.wait_for_load_state("networkidle")
        # If the page navigates meanwhile, the evaluation fails and is repeated.
        with contextlib.suppress(Error):
            page.evaluate(_STILL)
            return


class Camera:
    """Takes the pictures, with one login per group, and one window per group, size and colour scheme."""

    def __init__(self, browser: Browser, service: Service) -> None:
        self._browser = browser
        self._service = service
        self._logins: dict[str, Any] = {}
        self._windows: dict[tuple[Any, ...], BrowserContext] = {}
        self.faults: list[str] = []

    def take(self, shot: Shot) -> bytes:
        """Take the picture as PNG. Errors of the page are added to ``faults``."""
        with contextlib.closing(self._window(shot).new_page()) as page:
            width, height = shot.size
            page.set_viewport_size({"width": width, "height": height})
            page.on("response", functools.partial(self._note_answer, shot))
            page.on("pageerror", lambda error: self.faults.append(f"{shot.name}: {error}"))
            page.goto("/admin/" if shot.entry else "/admin/login/")
            if shot.entry:
                follow(page, shot.entry)
            shot.steps(page)
            settle(page)
            return page.screenshot(animations="disabled", scale="css", type="png")

    def _note_answer(self, shot: Shot, answer: Response) -> None:
        if answer.status >= 400:
            self.faults.append(f"{shot.name}: {answer.status} {answer.url}")

    def _window(self, shot: Shot) -> BrowserContext:
        group = shot.group if shot.entry else None
        which = (group, shot.size[0], shot.shade)
        if which not in self._windows:
            self._windows[which] = self._browser.new_context(
                base_url=self._service.address,
                color_scheme=shot.shade,  # type: ignore[arg-type]
                reduced_motion="reduce",
                locale="en-GB",
                timezone_id="Europe/Vienna",
                storage_state=self._log_in(group) if group else None,
            )
            self._windows[which].set_default_timeout(10_000)
        return self._windows[which]

    def _log_in(self, group: str) -> Any:
        if group in self._logins:
            return self._logins[group]
        with contextlib.closing(self._browser.new_context(base_url=self._service.address)) as context:
            page = context.new_page()
            page.goto("/admin/login/")
            page.get_by_label("Username").fill(f"demo-{group}")
            page.get_by_label("Password").fill(self._service.password)
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()
            self._logins[group] = context.storage_state()
        return self._logins[group]


def follow(page: Page, entry: str) -> None:
    """Click an entry of the sidebar, which a phone hides behind a button."""
    link = page.locator("#nav-sidebar-apps a").filter(has=page.get_by_text(entry, exact=True))
    if not link.is_visible():
        page.get_by_role("button", name="Show or hide the menu").click()
    link.click()
    settle(page)


def _is_over(_number: int, _frame: Any) -> None:
    raise TimeoutError(f"The pictures took longer than {SECONDS} s.")


def main() -> None:
    """Take all pictures, or those named as arguments. Exits with 1 if there is no such picture or a page has faults."""
    if CHROMIUM is None:
        sys.exit("No Chromium here: install one as chromium, chromium-browser or google-chrome.")
    if unknown := set(sys.argv[1:]) - {shot.name for shot in SHOTS}:
        sys.exit(f"No picture is named {', '.join(sorted(unknown))}: {', '.join(shot.name for shot in SHOTS)}.")
    chosen = [shot for shot in SHOTS if not sys.argv[1:] or shot.name in sys.argv[1:]]
    signal.signal(signal.SIGALRM, _is_over)
    signal.alarm(SECONDS)
    IMAGES.mkdir(exist_ok=True)
    with demonstration() as service, sync_playwright() as playwright:
        work(service)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        camera = Camera(browser, service)
        for shot in chosen:
            try:
                picture = camera.take(shot)
            except (Error, AssertionError) as error:
                camera.faults.append(f"{shot.name}: {error}")
                continue
            if len(picture) > MOST_BYTES:
                camera.faults.append(f"{shot.name}: {len(picture)} bytes")
            (IMAGES / shot.file).write_bytes(picture)
            sys.stdout.write(f"docs/images/{shot.file}  {len(picture) // 1000} kB\n")
            sys.stdout.flush()
        browser.close()
    if camera.faults:
        sys.exit("\n".join(camera.faults))


if __name__ == "__main__":
    main()
