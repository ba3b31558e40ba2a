"""Every address of the console for every role: allowed or refused, and never a server error."""

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.urls import NoReverseMatch, URLResolver, reverse
from django.urls.resolvers import RoutePattern

import config.urls  # noqa: F401 - registers the console's pages, which are asked for below
from tests.config.test_admin import MAKE_ONE
from tests.config.test_console_roles import CHANGES, LISTS
from tests.factories import make_store
from tests.rolling_back import shared_by_module
from tests.staff import GROUPS, browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rows", "without_menu")]

_MARKER: Final = re.compile(r"<(?:(\w+):)?\w+>")
NOBODYS: Final = ["01900000-0000-7000-8000-000000000001", "0", "9" * 30, "no-id", "no\0id", "ü/é"]
"""Ids without a row."""
FINE: Final = {200, 302, 400, 403, 404, 405, 422}

LEAST: Final = {
    "index": "viewer",
    "jsi18n": "viewer",
    "password_change": "viewer",
    "password_change_done": "viewer",
    "audit_apiclient_issue_token": "administrator",
    "audit_webhooksubscription_pause": "administrator",
    "audit_webhooksubscription_remove": "administrator",
    "audit_webhooksubscription_replace_secret": "administrator",
    "audit_webhooksubscription_resend": "administrator",
    "audit_webhooksubscription_resume": "administrator",
    "audit_webhooksubscription_send_test": "administrator",
    "audit_apitoken_revoke": "administrator",
    "audit_auditentry_export_csv": "manager",
    "auth_user_password_change": "administrator",
    "inventory_lowstockalert_acknowledge": "warehouse",
    "inventory_lowstockalert_assign_selected": "warehouse",
    "inventory_lowstockalert_export_csv": "manager",
    "inventory_lowstockalert_export_xlsx": "manager",
    "inventory_lowstockalert_snooze": "warehouse",
    "inventory_lowstockalert_subscribe": "viewer",
    "inventory_movement_export_csv": "manager",
    "inventory_movement_delivery": "warehouse",
    "inventory_movement_delivery_changes": "warehouse",
    "inventory_movement_delivery_discard": "warehouse",
    "inventory_movement_delivery_scans": "warehouse",
    "inventory_movement_delivery_take_over": "warehouse",
    "inventory_movement_receive_delivery": "warehouse",
    "inventory_product_add_variant": "manager",
    "inventory_product_export_csv": "manager",
    "inventory_product_export_xlsx": "manager",
    "inventory_product_freeze": "manager",
    "inventory_product_import_products": "manager",
    "inventory_product_label": "viewer",
    "inventory_product_labels": "viewer",
    "inventory_product_recall": "viewer",
    "inventory_product_unfreeze": "manager",
    "inventory_stockcount_cancel_count": "manager",
    "inventory_stockcount_open_count": "warehouse",
    "inventory_stockcount_post_count": "manager",
    "inventory_stockcount_recount": "warehouse",
    "inventory_stockcount_recount_scans": "warehouse",
    "inventory_stockcount_walk": "warehouse",
    "inventory_stockcount_walk_scans": "warehouse",
    "inventory_stockdocument_labels": "viewer",
    "inventory_stockdocument_reverse": "warehouse",
    "inventory_stocklevel_adjust": "warehouse",
    "inventory_stocklevel_count": "warehouse",
    "inventory_stocklevel_count_place": "warehouse",
    "inventory_stocklevel_export_csv": "manager",
    "inventory_stocklevel_export_xlsx": "manager",
    "inventory_stocklevel_find": "viewer",
    "inventory_stocklevel_import_changes": "warehouse",
    "inventory_stocklevel_import_settings": "manager",
    "inventory_stocklevel_place": "viewer",
    "inventory_stocklevel_put_away": "warehouse",
    "inventory_stocklevel_put_away_scans": "warehouse",
    "inventory_stocklevel_receive": "warehouse",
    "inventory_stocklevel_receive_rows": "warehouse",
    "inventory_stocklevel_set_rows": "manager",
    "inventory_stocklevel_settings": "manager",
    "inventory_stocklevel_ship": "warehouse",
    "inventory_stocklevel_take_back": "warehouse",
    "inventory_stocklevel_transfer": "warehouse",
    "inventory_stocklevel_transfer_rows": "warehouse",
    "inventory_store_freeze": "manager",
    "inventory_store_unfreeze": "manager",
    "inventory_transfer_cancel": "warehouse",
    "inventory_transfer_change_draft": "warehouse",
    "inventory_transfer_change_draft_changes": "warehouse",
    "inventory_transfer_change_draft_scans": "warehouse",
    "inventory_transfer_labels": "viewer",
    "inventory_transfer_new_transfer": "warehouse",
    "inventory_transfer_receive": "warehouse",
    "inventory_transfer_receive_changes": "warehouse",
    "inventory_transfer_receive_scans": "warehouse",
    "inventory_transfer_redirect": "warehouse",
    "inventory_transfer_send": "warehouse",
    "inventory_transfer_send_back": "warehouse",
    "inventory_warehouse_freeze": "manager",
    "inventory_warehouse_labels": "viewer",
    "inventory_warehouse_unfreeze": "manager",
    "reservations_deadletter_discard": "administrator",
    "reservations_deadletter_replay": "administrator",
    "reservations_reservation_chosen_consume": "manager",
    "reservations_reservation_chosen_extend": "manager",
    "reservations_reservation_chosen_release": "manager",
    "reservations_reservation_consume": "manager",
    "reservations_reservation_extend": "manager",
    "reservations_reservation_release": "manager",
    "reservations_shortageincident_resolve": "manager",
}
"""The lowest group that may open an address, by its name. LISTS and CHANGES cover lists, pages and forms."""
READING: Final = re.compile(
    r"index|jsi18n|password_change(_done)?|.*_export_(csv|xlsx)|.*_labels?|.*_recall|.*_stocklevel_(find|place)"
)
"""The addresses of ``LEAST`` that are open to an auditor: read-only pages, and the own password."""
FOR_ANYBODY: Final = {
    *("", "app_list", "autocomplete", "find", "login", "logout", "news", "session"),
    *("exports", "export_file", "export_cancel"),
}
"""Addresses without a page of their own, and those of one's own exports (``test_large_exports``)."""


def addresses(patterns: Any = None, before: str = "/admin/") -> Iterator[tuple[str, str]]:
    """The name and address, with placeholders, of all routes of the console."""
    for pattern in admin.site.get_urls() if patterns is None else patterns:
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, before + str(pattern.pattern))
        elif isinstance(pattern.pattern, RoutePattern):
            yield pattern.name or "", before + str(pattern.pattern)
        elif pattern.name == "app_list":
            labels = {model._meta.app_label for model in admin.site._registry}
            yield from (("app_list", f"{before}{label}/") for label in labels)
        else:
            yield "", f"{before}nothing/is/here"


def filled(address: str, id_: str) -> str:
    """The address with the id in its placeholder."""
    return _MARKER.sub(lambda marker: "1" if marker[1] == "int" else quote(id_, safe="/"), address)


@pytest.fixture(scope="module")
def rows(django_db_setup: None, django_db_blocker: Any) -> Iterator[dict[str, Any]]:
    """A row for each list, by model name. Rows with a warehouse are in wh-001."""
    with shared_by_module(django_db_blocker):
        make_store("main", "wh-001", "wh-002")
        for make in MAKE_ONE.values():
            make()
        yield {model._meta.model_name or "": model._default_manager.order_by("pk").first() for model in MAKE_ONE}


def own_row(name: str, rows: dict[str, Any]) -> Any:
    """The row to request the address of this name with."""
    return rows.get(name.split("_")[1]) if name.count("_") > 1 else None


def asked(browser: Client, url: str) -> Iterator[tuple[str, int]]:
    yield f"GET {url}", browser.get(url).status_code
    yield f"POST {url}", browser.post(url, {"once": "x"}).status_code


@pytest.mark.parametrize(
    ("group", "warehouses"),
    [("", ()), *((group, ("wh-001",)) for group in GROUPS[:3]), *((group, ()) for group in GROUPS[3:])],
)
def test_no_address_is_an_error_for_anybody(group: str, warehouses: tuple[str, ...], rows: dict[str, Any]) -> None:
    """The only test that renders each page for each group. Some pages are open to users of all warehouses alone."""
    browser = browser_of(make_staff(group, *warehouses))
    wrong, seen = [], 0
    for name, address in sorted(addresses(), key=lambda found: found[0] == "logout"):
        assert "(?P" not in address
        own = own_row(name, rows)
        for what, status in asked(browser, filled(address, str(own.pk) if own else "0")):
            wrong += [(what, status)] if status not in FINE else []
            seen += 1
    assert wrong == []
    assert seen > 200


@pytest.mark.parametrize(
    ("group", "warehouses"), [(None, ()), ("", ()), *((group, ()) for group in GROUPS), ("manager", ("wh-009",))]
)
def test_redirect_to_an_objects_own_page_is_gone(
    group: str | None, warehouses: tuple[str, ...], rows: dict[str, Any]
) -> None:
    """Django's ``/admin/r/``: it tells whether rows exist to people who may not see them. A stranger (None) is sent to
    the login from every address."""
    browser = Client(headers={"Host": "localhost"}) if group is None else browser_of(make_staff(group, *warehouses))
    kinds = {ContentType.objects.get_for_model(row).pk: str(row.pk) for row in rows.values()}
    nobodys = {f"r/{max(kinds) + 999}/1/", f"r/{max(kinds)}/0/", "r/x/y/", "r/1/", "r/"}
    addresses_of_rows = {f"r/{kind}/{id_}/" for kind, id_ in kinds.items()}
    answers = set()
    for address in addresses_of_rows | nobodys:
        for send in (browser.get, browser.head, browser.post):
            answer = send(f"/admin/{address}")
            answers.add((answer.status_code, answer.headers.get("Location", "").partition("?")[0]))
    # The same to all, whether the row exists or not.
    assert answers == {(302, "/admin/login/") if group is None else (404, "")}
    with pytest.raises(NoReverseMatch):
        reverse("admin:view_on_site", args=["1", "1"])


@pytest.mark.parametrize("id_", NOBODYS, ids=ascii)
def test_id_that_nothing_has_is_an_error_at_no_address(id_: str) -> None:
    browser = browser_of(make_staff())
    with_id = [address for _, address in addresses() if _MARKER.search(address)]
    answers = [answer for address in with_id for answer in asked(browser, filled(address, id_))]
    assert [answer for answer in answers if answer[1] not in FINE] == []
    assert len(answers) > 100


def may_open(group: str, name: str) -> bool:
    """Whether a group should be allowed to open the address of this name."""
    if name in LEAST and group == "auditor":
        return bool(READING.fullmatch(name))
    if name in LEAST:
        return GROUPS.index(group) >= GROUPS.index(LEAST[name])
    _, model, verb = name.split("_", 2)
    sets = {"changelist": LISTS, "change": LISTS, "history": LISTS, "add": CHANGES, "delete": dict.fromkeys(GROUPS, ())}
    return model in sets[verb][group]


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("group", GROUPS)
def test_each_address_is_open_to_whom_it_is_meant_for_and_closed_to_others(group: str, rows: dict[str, Any]) -> None:
    browser = browser_of(make_staff(group))
    level = rows["stocklevel"].pk
    differing = []
    for name, address in addresses():
        if name in FOR_ANYBODY:
            continue
        own = own_row(name, rows)
        url = filled(address, str(own.pk) if own else "") + (f"?level={level}" if name.endswith("_rows") else "")
        # Actions on chosen rows accept only POST: a GET redirects to the list.
        status = (browser.post if "_chosen_" in name else browser.get)(url).status_code
        if (status != 403) != may_open(group, name):
            differing.append((name, status))
    assert differing == []


IN_A_WAREHOUSE: Final = (
    "lowstockalert",
    "movement",
    "reconciliationfinding",
    "reservation",
    "shortageincident",
    "stockcount",
    "stockdocument",
    "stocklevel",
    "transfer",
    "warehouse",
)


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("group", GROUPS)
def test_what_is_in_another_warehouse_is_not_there_at_any_address(group: str, rows: dict[str, Any]) -> None:
    browser = browser_of(make_staff(group, "wh-009"))
    opened, seen = [], 0
    for name, address in addresses():
        own = own_row(name, rows)
        if own is None or own._meta.model_name not in IN_A_WAREHOUSE or not _MARKER.search(address):
            continue
        for what, status in asked(browser, filled(address, str(own.pk))):
            opened += [(what, status)] if status not in {403, 404} else []
            seen += 1
    assert opened == []
    assert seen > 50


@pytest.mark.usefixtures("unrendered")
def test_address_of_a_list_that_one_may_not_open_is_closed_whatever_one_may_do(rows: dict[str, Any]) -> None:
    """Somebody with every permission but those to see rows."""
    person = make_staff("viewer")
    person.groups.clear()
    person.user_permissions.set(Permission.objects.exclude(codename__regex="^(view|change)_"))
    browser, opened, seen = browser_of(person), [], 0
    for name, address in addresses():
        if name in FOR_ANYBODY or name in {"index", "jsi18n", "password_change", "password_change_done"}:
            continue
        own = own_row(name, rows)
        for what, status in asked(browser, filled(address, str(own.pk) if own else "0")):
            opened += [(what, status)] if status != 403 and not name.endswith("_add") else []
            seen += 1
    assert opened == []
    assert seen > 200


FOR_ALL_WAREHOUSES: Final = {
    "apiclient",
    "apitoken",
    "auditentry",
    "deadletter",
    "idempotencykey",
    "outboxevent",
    "receivedevent",
    "reconciliationrun",
    "group",
    "user",
}


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("group", ["", "administrator"])
def test_address_of_what_belongs_to_no_warehouse_is_closed_to_who_is_limited(group: str, rows: dict[str, Any]) -> None:
    browser, opened, seen = browser_of(make_staff(group, "wh-001")), [], 0
    for name, address in addresses():
        own = own_row(name, rows)
        if own is None or own._meta.model_name not in FOR_ALL_WAREHOUSES:
            continue
        for what, status in asked(browser, filled(address, str(own.pk))):
            opened += [(what, status)] if status != 403 else []
            seen += 1
    assert opened == []
    assert seen > 50


@pytest.mark.usefixtures("unrendered")
def test_somebody_of_another_warehouse_changes_nothing_at_any_address(rows: dict[str, Any]) -> None:
    """With every permission, and fields that most dialogs ask for. One's own password and mail are one's own."""
    browser, level = browser_of(make_staff("", "wh-009")), rows["stocklevel"].pk
    before = {model: list(model._default_manager.order_by("pk").values()) for model in MAKE_ONE}
    for name, address in addresses():
        if name in FOR_ANYBODY or name.startswith("password_change") or name.endswith("_subscribe"):
            continue
        own = own_row(name, rows)
        sent = {"once": str(uuid4()), "level": level, "quantity": "1", "reason": "r", "remark": "r", "note": "n"}
        given = {**sent, "warehouse": "wh-001", "text": "t", "order_id": "o", "days": "30", "resolution": "r"}
        browser.post(filled(address, str(own.pk) if own else ""), given)
    assert {model: list(model._default_manager.order_by("pk").values()) for model in MAKE_ONE} == before


@pytest.mark.usefixtures("unrendered")
def test_auditor_changes_nothing_at_any_address(rows: dict[str, Any]) -> None:
    """Posts the fields of most dialogs to every address except the change of the own password."""
    browser, level = browser_of(make_staff("auditor")), rows["stocklevel"].pk
    before = {model: list(model._default_manager.order_by("pk").values()) for model in MAKE_ONE}
    let_in = []
    for name, address in addresses():
        if name in FOR_ANYBODY or name.startswith("password_change"):
            continue
        own = own_row(name, rows)
        sent = {"once": "x", "level": level, "quantity": "1", "reason": "r", "name": "n", "note": "n", "_save": "1"}
        status = browser.post(filled(address, str(own.pk) if own else ""), sent).status_code
        if status not in {403, 405} and not READING.fullmatch(name) and not name.endswith(("_changelist", "_history")):
            let_in.append((name, status))
    assert let_in == []
    assert {model: list(model._default_manager.order_by("pk").values()) for model in MAKE_ONE} == before
