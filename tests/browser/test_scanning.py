"""Scanning in the browser with real keys, as fast as a scanner's: whole flows by scanner alone, with each terminator,
and what must never happen to a quantity.
"""

import time
from typing import Any, Final
from weakref import WeakKeyDictionary

import pytest
from django.urls import reverse
from playwright.sync_api import CDPSession, Locator, Page, Route, expect

from inventory.models import StockCount, StockCountLine, StockLevel, Transfer
from inventory.services.counts.opening import OpenRequest, open_count
from tests.browser.pages import DESKTOP, PHONE, Open, faults_of
from tests.factories import ACTOR, make_level, make_product, make_warehouse

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]

TERMINATORS: Final = {
    "TAB": ("Tab",),
    "CR": ("Enter",),
    "LF": ("Control+j",),
    "CR+LF": ("Enter", "Control+j"),
    "CR+LF, both as Enter": ("Enter", "Enter"),
    "CR+TAB": ("Enter", "Tab"),
}
CLERK: Final = ("warehouse", "wh-001")


def address(model: str, name: str, *arguments: Any) -> str:
    return reverse(f"admin:inventory_{model}_{name}", args=arguments)


_KEYS: Final[dict[str, dict[str, Any]]] = {
    "Enter": {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"},
    "Tab": {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9},
    "Control+j": {"key": "j", "code": "KeyJ", "windowsVirtualKeyCode": 74, "modifiers": 2},
}
_KEYBOARDS: Final[WeakKeyDictionary[Page, CDPSession]] = WeakKeyDictionary()


def keyboard_of(page: Page) -> CDPSession:
    """The session that types, which keeps the times that are given for keys."""
    if page not in _KEYBOARDS:
        _KEYBOARDS[page] = page.context.new_cdp_session(page)
    return _KEYBOARDS[page]


def wedge(page: Page, code: str, *ends: str) -> None:
    """As a keyboard wedge does: a key every 4 ms, however busy this machine is, and its terminator at once."""
    keys = [{"key": letter, "text": letter} for letter in code] + [_KEYS[end] for end in ends or ("Enter",)]
    begun = time.time() - 0.004 * len(keys)
    for place, key in enumerate(keys):
        at = begun + 0.004 * place
        keyboard_of(page).send("Input.dispatchKeyEvent", {"type": "keyDown", "timestamp": at, **key})
        keyboard_of(page).send("Input.dispatchKeyEvent", {"type": "keyUp", "timestamp": at, **key, "text": ""})


def failures(page: Page) -> Any:
    return page.locator("[data-failed-list] li")


def counted(level: StockLevel) -> int | None:
    return StockCountLine.objects.get(level=level).counted


def count_all() -> StockCount:
    open_count(OpenRequest(ACTOR, "wh-001", "ALL"))
    return StockCount.objects.latest("id")


def scanned(page: Page, label: str, *codes: str) -> None:
    """Scan each code and an unknown one with each terminator, from the second time on with the focus in the units."""
    for times, ends in enumerate(TERMINATORS.values(), start=1):
        for code in codes:
            wedge(page, code, *ends)
        units = page.get_by_label(label)
        expect(units).to_have_value(str(times * len(codes)))
        units.focus()
        wedge(page, "96385074", *ends)
        expect(failures(page)).to_have_count(times)
        expect(units).to_have_value(str(times * len(codes)))
    page.get_by_role("button", name="All done").click()


def test_delivery_by_scanner_alone_with_each_terminator(open_page: Open) -> None:
    make_level(1)
    lamp = make_product(sku="LAMP-1", barcode="4006381333931")
    page = open_page(address("movement", "receive_delivery"), *CLERK)
    expect(page.get_by_label("Scan or type a SKU or barcode")).to_be_focused()
    scanned(page, "Units of LAMP-1", "4006381333931", "lamp-1")
    page.get_by_role("button", name="Review").click()
    page.get_by_role("button", name="Receive all").click()
    expect(page.get_by_role("heading", name="Delivery received")).to_be_visible()
    assert StockLevel.objects.get(product=lamp).on_hand == 2 * len(TERMINATORS)


def test_transfer_and_its_arrival_by_scanner_alone_with_each_terminator(open_page: Open) -> None:
    lamp = make_level(50, product=make_product(sku="LAMP-1", barcode="4006381333931"))
    make_warehouse("wh-002")
    page = open_page(address("transfer", "new_transfer"), "warehouse", size=PHONE)
    page.get_by_label("From").select_option("wh-001")
    page.get_by_label("To", exact=False).nth(0).select_option("wh-002")
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_label("Scan or type a SKU or barcode")).to_be_focused()
    scanned(page, "Units of LAMP-1", "4006381333931")
    page.get_by_role("button", name="Review").click()
    page.get_by_role("button", name="Send it now").click()
    expect(page.get_by_text("are on their way")).to_be_visible()
    page.goto(address("transfer", "receive", Transfer.objects.get().pk))
    expect(page.get_by_label("Scan or type a SKU or barcode")).to_be_focused()
    scanned(page, "Units of LAMP-1", "4006381333931")
    page.get_by_role("button", name="Review").click()
    page.get_by_role("button", name="Receive").click()
    expect(page.get_by_text("The transfer is complete.")).to_be_visible()
    lamp.refresh_from_db()
    assert lamp.on_hand == 50 - len(TERMINATORS)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_count_by_scanner_alone_with_each_terminator(open_page: Open, size: Any) -> None:
    lamp = make_level(33, product=make_product(sku="LAMP-1", barcode="4006381333931"), zone="A", shelf="1")
    rope = make_level(4, product=make_product(sku="ROPE-2", barcode="95385074"), zone="B", aisle="02", shelf="1")
    make_level(9, product=make_product(sku="SAIL-3"), zone="C")
    page = open_page(address("stockcount", "walk", count_all().pk), *CLERK, size=size)
    figure = page.get_by_label("How many are there?")
    expect(figure).to_be_focused()
    for times, ends in enumerate(TERMINATORS.values(), start=1):
        wedge(page, "4006381333931", *ends)
        expect(page.get_by_text(f"LAMP-1: {times} counted.")).to_be_visible()
        wedge(page, "wh-001/B-02-1", *ends)
        expect(page.locator("[data-sku]").first).to_have_text("ROPE-2")
        wedge(page, "95385074", *ends)
        expect(page.get_by_text(f"ROPE-2: {times} counted.")).to_be_visible()
        expect(figure).to_have_value(str(times))
        wedge(page, "96385074", *ends)
        expect(failures(page)).to_have_count(times)
        expect(figure).to_have_value(str(times))
    assert [counted(lamp), counted(rope)] == [len(TERMINATORS)] * 2
    assert faults_of(page) == []
    page.reload()
    expect(failures(page)).to_have_count(len(TERMINATORS))
    page.get_by_role("button", name="Done: ").first.click()
    expect(failures(page)).to_have_count(len(TERMINATORS) - 1)
    page.get_by_role("button", name="All done").click()
    expect(failures(page)).to_have_count(0)
    expect(page.get_by_text("2 of 3 lines counted")).to_be_visible()


def test_scans_are_distinguished_from_typing_by_the_time_between_keys(open_page: Open) -> None:
    """Pairs of a text and the milliseconds before each of its keys; then the code that is read, "" for none."""
    page = open_page("/admin/", *CLERK)
    cases: list[tuple[list[tuple[str, int]], str]] = [
        ([("95385074", 1)], "95385074"),
        ([("95385074", 35)], "95385074"),
        ([("95385074", 60)], ""),
        ([("1234", 90)], ""),
        ([("123", 5)], ""),
        ([("9538", 5), ("5", 150), ("074", 5)], "95385074"),
        ([("25", 180), ("9", 180), ("5385074", 5)], "95385074"),
        ([("25", 90), ("9", 300), ("5385074", 5)], "95385074"),
    ]
    read = """
        (typed) => {
          const bursts = new scanBursts.Bursts();
          let at = 0;
          for (const [text, gap] of typed) for (const key of text) bursts.add(key, at += gap);
          const { code } = bursts.end(at += 5);
          return [code, bursts.isTail(at + 20), bursts.isTail(at + 25)];
        }"""
    assert [page.evaluate(read, typed) for typed, _ in cases] == [[code, bool(code), False] for _, code in cases]


def test_figures_typed_120_ms_apart_land_on_their_own_lines(open_page: Open) -> None:
    levels = [make_level(50, product=make_product(sku=f"P-{n}"), zone="A", shelf=str(n)) for n in range(5)]
    page = open_page(address("stockcount", "walk", count_all().pk), *CLERK)
    expect(page.get_by_label("How many are there?")).to_be_focused()
    for figure in ("33", "7", "12"):
        page.keyboard.type(figure, delay=90)
        page.keyboard.press("Enter")
        page.wait_for_timeout(120)
    expect(page.locator("[data-sku]").first).to_have_text("P-3")
    # A figure typed for a scanned product, before the server has said what that is, is that product's.
    page.route("**/scans/", lambda route: None, times=1)
    wedge(page, "P-4")
    page.keyboard.type("21", delay=90)
    page.keyboard.press("Enter")
    page.unroute_all()
    page.reload()
    expect(page.get_by_text("4 of 5 lines counted")).to_be_visible()
    assert [counted(level) for level in levels] == [33, 7, 12, None, 21]


def test_scans_of_a_minute_all_count_and_none_twice_when_the_network_fails(open_page: Open) -> None:
    levels = [make_level(50, product=make_product(sku=f"LONG-{n}"), zone="A", shelf=str(n)) for n in range(3)]
    page = open_page(address("stockcount", "walk", count_all().pk), *CLERK)
    expect(page.get_by_label("How many are there?")).to_be_focused()
    sent: list[Route] = []

    def lose(route: Route) -> None:
        """The first answers are lost after the server has done its work; then there is no network for a while."""
        sent.append(route)
        if len(sent) == 1:
            route.fetch()
        route.abort()

    page.route("**/scans/", lose)
    for _ in range(20):
        for level in levels:
            wedge(page, level.product.sku)
    expect(page.get_by_text("No connection. Scans kept on this device:")).to_be_visible()
    page.unroute_all()
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.goto("/admin/")  # Whatever page comes next sends them.
    assert asked == ["beforeunload"]
    expect(page.get_by_text("No connection.")).to_be_hidden()
    page.wait_for_function("Object.keys(localStorage).every((key) => !key.startsWith('console-scan:'))")
    assert failures(page).all_inner_texts() == []
    assert [counted(level) for level in levels] == [20, 20, 20]


def test_scan_never_lands_in_a_quantity_wherever_it_is(open_page: Open) -> None:
    level = make_level(5, product=make_product(sku="LAMP-1", barcode="4006381333931"))
    page = open_page(address("stocklevel", "receive", level.pk), *CLERK)
    quantity = page.get_by_label("Quantity")
    quantity.fill("24")
    page.get_by_label("Reference").focus()
    quantity.focus()
    page.keyboard.type("25", delay=150)
    expect(quantity).to_have_value("25")  # What is entered again is replaced.
    for code, ends in (("95385074", []), ("95385074", ["Tab"]), ("4006381333931", [])):
        page.wait_for_timeout(250)  # Nobody pulls the trigger sooner after a key.
        wedge(page, code, *ends)
        expect(failures(page).first).to_contain_text(code)
        expect(quantity).to_have_value("25")
    level.refresh_from_db()
    assert level.on_hand == 5


def test_scan_on_a_list_leads_to_what_it_names(open_page: Open) -> None:
    level = make_level(5, product=make_product(sku="LAMP-1", barcode="4006381333931"), zone="B", shelf="1")
    page = open_page(address("stocklevel", "changelist"), *CLERK)
    wedge(page, "4006381333931")
    page.wait_for_url(f"**{address('stocklevel', 'change', level.pk)}")
    wedge(page, "wh-001/B-1", "Tab")
    expect(page.get_by_role("heading", name="Place wh-001/B-1").last).to_be_visible()
    assert faults_of(page) == []
    page.get_by_role("link", name="Put away here").click()
    expect(page.get_by_label("Scan or type a SKU or barcode")).to_be_focused()
    wedge(page, "wh-001/C-7", "Tab")
    expect(page.get_by_role("heading", name="Put away at wh-001/C-7")).to_be_visible()
    wedge(page, "4006381333931", "Tab")
    expect(page.get_by_text("LAMP-1 is at C-7 now; it was at B-1.")).to_be_visible()
    assert faults_of(page) == []
    page.get_by_role("link", name="To the place").click()
    page.get_by_role("button", name="Count this place").click()
    expect(page.get_by_label("How many are there?")).to_be_focused()
    level.refresh_from_db()
    assert (level.zone, level.aisle) == ("C", "7")
    page.goto("/admin/")
    wedge(page, "96385074")
    expect(failures(page).first).to_contain_text("No product and no place has the code 96385074.")


def test_camera_is_offered_where_the_browser_reads_barcodes(open_page: Open) -> None:
    level = make_level(5, product=make_product(sku="LAMP-1", barcode="4006381333931"))
    path = address("stockcount", "walk", count_all().pk)
    page = open_page(path, *CLERK, size=PHONE)
    button = page.get_by_role("button", name="Scan with the camera")
    page.wait_for_load_state("networkidle")
    expect(button).to_be_hidden()
    page.add_init_script(
        """
        window.BarcodeDetector = class {
          static async getSupportedFormats() { return ["ean_13", "qr_code", "unknown"]; }
          async detect() { return [{ rawValue: "4006381333931" }]; }
        };
        const canvas = document.createElement("canvas");
        canvas.getContext("2d").fillRect(0, 0, 9, 9);
        const picture = async () => canvas.captureStream(5);
        Object.defineProperty(navigator, "mediaDevices", { value: { getUserMedia: picture } });
        """
    )
    page.goto(path)
    button.click()
    expect(page.get_by_role("dialog").get_by_text("LAMP-1: 1 counted.")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert counted(level) == 1


_PRESS: Final = """
    window.pressKeys = (keys) => {
      for (const key of keys) {
        const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
        (document.activeElement || document.documentElement).dispatchEvent(event);
      }
    };"""
_WHILE_LOADING: Final = """
    document.addEventListener("readystatechange", () => {
      const keys = sessionStorage.getItem("keys-while-loading");
      if (document.readyState !== "interactive" || !keys) return;
      sessionStorage.removeItem("keys-while-loading");
      // As if loading had taken no time: the last key of the page before was pressed just now.
      const begun = JSON.parse(sessionStorage.getItem("console-burst"));
      if (begun) {
        begun.origin = performance.timeOrigin + performance.now() - 5 - begun.keys.at(-1).at;
        sessionStorage.setItem("console-burst", JSON.stringify(begun));
      }
      window.pressKeys([...keys, "Enter"]);
    });"""


def test_no_key_is_lost_on_a_busy_page_while_one_is_loaded_or_when_the_focus_moves(open_page: Open) -> None:
    lamp = make_product(sku="LAMP-1", barcode="4006381333931")
    make_warehouse("wh-001")
    page = open_page(address("movement", "receive_delivery"), *CLERK)
    page.add_init_script(_PRESS)
    page.add_init_script(_WHILE_LOADING)
    wedge(page, "LAMP-1")
    units = page.get_by_label("Units of LAMP-1")
    expect(units).to_have_value("1")
    # A slow machine, whose page is busy for longer than any gap between two keys.
    keyboard_of(page).send("Emulation.setCPUThrottlingRate", {"rate": 6})
    page.evaluate("""
      const wait = (end) => { while (performance.now() < end); };
      let count = 0;
      addEventListener("keydown", () => { if (++count % 5 === 3) wait(performance.now() + 300); });""")
    wedge(page, "4006381333931")
    expect(units).to_have_value("2")
    # The focus comes to the units in the middle of a scan.
    page.reload()
    page.evaluate("document.activeElement.blur()")
    page.evaluate(
        """(id) => {
          let count = 0;
          addEventListener("keydown", () => { if (++count === 4) document.getElementById(id).focus(); });
        }""",
        f"units-{lamp.pk}",
    )
    wedge(page, "4006381333931")
    expect(units).to_have_value("3")
    type_while_pages_change(page, units)
    assert failures(page).all_inner_texts() == []


def type_while_pages_change(page: Page, units: Locator) -> None:
    """A page gets the keys pressed before its scripts ran, and the unfinished code typed on the page before it."""
    page.evaluate("sessionStorage.setItem('keys-while-loading', '4006381333931')")
    page.reload()
    expect(units).to_have_value("4")
    page.evaluate("""
      sessionStorage.setItem("keys-while-loading", "6381333931");
      pressKeys("400");
      const last = performance.now();
      performance.now = () => last + 5;  // As if the server answered at once.
      location.reload();""")
    expect(units).to_have_value("5")


def test_burst_is_kept_for_the_next_page_unless_it_is_of_a_password(open_page: Open) -> None:
    kept = """() => { dispatchEvent(new Event("pagehide")); return sessionStorage.getItem("console-burst"); }"""
    page = open_page("/admin/inventory/stocklevel/", *CLERK)
    page.locator("#searchbar").focus()
    page.keyboard.type("LAM")  # Too short for a scan so far.
    assert '"character":"M"' in page.evaluate(kept)
    page.evaluate("sessionStorage.clear()")
    page.wait_for_timeout(700)  # The burst is over.
    assert page.evaluate(kept) is None
    page.goto("/admin/password_change/")
    page.locator("input[type=password]").first.focus()
    page.keyboard.type("secret")
    assert page.evaluate(kept) is None
