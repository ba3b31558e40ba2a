"""Texts are cleaned in each form of the console and each option of a command, and NUL is no door's 500."""

from collections.abc import Iterator
from io import StringIO
from typing import Any, Final
from uuid import uuid4

import pytest
from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client, RequestFactory
from django.urls import reverse

import config.urls  # noqa: F401 - registers the console's pages
from audit.console.dialogs import DialogForm
from audit.console.selection import SelectedField
from audit.console.texts import CodeField, LineField, NoteField
from audit.models import ApiClient
from inventory.models import AdjustmentReason, Movement, Product, Warehouse
from tests.factories import hold, make_level, make_warehouse
from tests.forms import edit
from tests.staff import PASSWORD, make_staff, post

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

UNCLEAN = " \u00a0A\u00a0e\u0301\u2003\r\n"
CLEAN = "A \u00e9"
REFUSED = ["\0", "\x1d", "\u200b", "\u202e", "\ufeff", "\ufffe", "\U000e0041"]


def subclasses(kind: type) -> Iterator[type]:
    """All subclasses of a class."""
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


@pytest.mark.parametrize("form", [DialogForm, *subclasses(DialogForm)], ids=lambda form: form.__name__)
def test_each_text_of_a_dialog_is_cleaned(form: Any) -> None:
    for name, field in form.base_fields.items():
        if name in ("seen", "version") or isinstance(field, (SelectedField, forms.UUIDField)):
            continue  # Not typed by anybody.
        if isinstance(field, forms.CharField):
            assert isinstance(field, LineField), name


def test_each_text_of_an_admin_form_refuses_what_nobody_sees(rf: RequestFactory, admin_user: User) -> None:
    request = rf.get("/admin/")
    request.user = admin_user
    request.META["inventory.request_id"] = "tests"
    checked = 0
    for model_admin in admin.site._registry.values():
        if not model_admin.has_add_permission(request):
            continue
        for obj in (None, model_admin.model()):
            for name, field in model_admin.get_form(request, obj)().fields.items():
                if not isinstance(field, forms.CharField) or name.startswith("password"):
                    continue
                for refused in REFUSED:
                    with pytest.raises(forms.ValidationError):
                        field.clean(f"a{refused}b")
                checked += 1
    assert checked > 20


@pytest.mark.parametrize(
    ("field", "text", "clean"),
    [
        (LineField(), UNCLEAN, CLEAN),
        (CodeField(), UNCLEAN, CLEAN),
        (NoteField(), f"{UNCLEAN}\tb{UNCLEAN}", "A \u00e9 \r\n\tb  A \u00e9"),
        (LineField(required=False), " \u00a0", ""),
        (LineField(max_length=3), "abc  \u00a0", "abc"),
        (LineField(required=False), None, ""),
    ],
)
def test_a_field_cleans_its_text(field: forms.Field, text: Any, clean: str) -> None:
    assert field.clean(text) == clean


def test_a_field_names_the_character_and_its_position() -> None:
    with pytest.raises(forms.ValidationError) as refused:
        CodeField().clean(" F\u200b1")
    assert refused.value.messages == [
        "This text has the character U+200B ZERO WIDTH SPACE in position 3, which is not allowed: type it again."
    ]
    with pytest.raises(forms.ValidationError, match="required"):
        LineField().clean("\u00a0\u3000")


def test_texts_are_stored_clean_whatever_page_takes_them(admin_client: Client) -> None:
    level = make_level(5)
    add = {"sku": UNCLEAN, "barcode": " 1\u00a0", "name": f"I ❤\ufe0f {UNCLEAN}", "is_active": "on"}
    answer = admin_client.post(reverse("admin:inventory_product_add"), add)
    assert answer.status_code == 302, answer.context["errors"]
    product = Product.objects.get(sku=CLEAN)
    assert (product.barcode, product.name) == ("1", f"I ❤   {CLEAN}")
    stored = {"code": "wh-9", "name": UNCLEAN, "type": "MAIN", "city": UNCLEAN, "is_active": "on"}
    assert admin_client.post(reverse("admin:inventory_warehouse_add"), stored).status_code == 302
    warehouse = Warehouse.objects.get(code="wh-9")
    assert (warehouse.name, warehouse.address["city"]) == (CLEAN, CLEAN)
    reason = {"text": UNCLEAN, "kinds": ["ADJUST"], "is_active": "on"}
    assert admin_client.post(reverse("admin:inventory_adjustmentreason_add"), reason).status_code == 302
    assert AdjustmentReason.objects.filter(text=CLEAN).exists()
    client = {"name": UNCLEAN, "role": "manager", "reach": "all"}
    assert admin_client.post(reverse("admin:audit_apiclient_add"), client).status_code == 302
    assert ApiClient.objects.filter(name=CLEAN).exists()
    receive = reverse("admin:inventory_stocklevel_receive", args=[level.pk])
    post(admin_client, receive, quantity="1", remark=UNCLEAN, reference=UNCLEAN)
    movement = Movement.objects.latest("created_at")
    assert (movement.reason, movement.reference) == (CLEAN, CLEAN)
    settings = {"level": str(level.pk), "zone": " A1\u00a0", "aisle": "\u30002"}
    edit(admin_client, f"{reverse('admin:inventory_stocklevel_set_rows')}?level={level.pk}", **settings)
    level.refresh_from_db()
    assert (level.zone, level.aisle) == ("A1", "2")


# ------------------------------------------------------------------------------------------------------- NUL everywhere


def filters_of(client: Client, address: str) -> set[str]:
    """The names of the parameters that a list links to."""
    page = client.get(address)
    assert page.status_code == 200
    specs = page.context["cl"].filter_specs
    return {name for spec in specs for name in spec.expected_parameters()}


@pytest.mark.parametrize("model_admin", list(admin.site._registry.values()), ids=lambda each: each.opts.label)
def test_nul_in_a_parameter_of_a_list_is_no_error_of_the_server(
    admin_client: Client, model_admin: Any, without_menu: None
) -> None:
    hold((make_level(5), 1))
    address = reverse(f"admin:{model_admin.opts.app_label}_{model_admin.opts.model_name}_changelist")
    names = {"p", "o", "e", "day", "all", "level", "id", "_popup", "x"} | filters_of(admin_client, address)
    assert admin_client.get(address, {"q": "a\0b"}).status_code == 200
    for name in names:
        assert admin_client.get(address, {name: "a\0b"}).status_code == 400, name
        assert admin_client.get(address, {f"{name}\0": "a"}).status_code == 400, name


_NAMES: Final = [
    "do",
    "code",
    "plan",
    "next",
    "once",
    "warehouse",
    "from_warehouse",
    "to_warehouse",
    "quantity",
    "reason",
    "reference",
    "remark",
    "units-\0",
    "level",
    "chosen",
    "order_id",
    "sku",
    "name",
    "parent",
    "username",
    "zone",
    "scope",
    "products",
    "until",
    "_selected_action",
    "action",
    "store",
    "mapping",
    "expected_delivery",
]
"""Names of fields of forms in the console."""


def test_nul_in_a_form_is_no_error_of_the_server(admin_client: Client) -> None:
    level = make_level(5)
    make_warehouse("wh-002")
    reserved = hold((level, 1))
    pages = {
        "inventory_movement_receive_delivery": [],
        "inventory_transfer_new_transfer": [],
        "inventory_stockcount_open_count": [],
        "inventory_product_add": [],
        "inventory_product_change": [level.product_id],
        "inventory_product_freeze": [level.product_id],
        "inventory_stocklevel_receive": [level.pk],
        "inventory_stocklevel_adjust": [level.pk],
        "inventory_stocklevel_ship": [level.pk],
        "inventory_stocklevel_transfer": [level.pk],
        "inventory_stocklevel_set_rows": [],
        "inventory_stocklevel_transfer_rows": [],
        "reservations_reservation_consume": [reserved.id],
        "reservations_reservation_release": [reserved.id],
        "inventory_product_import_products": [],
        "inventory_stocklevel_import_settings": [],
        "inventory_stocklevel_import_changes": [],
        "auth_user_add": [],
    }
    for page, arguments in pages.items():
        address = reverse(f"admin:{page}", args=arguments)
        sent = dict.fromkeys(_NAMES, "a\0b") | {"do": "add:"}
        for answer in (admin_client.post(address, sent), admin_client.get(address, sent)):
            assert answer.status_code == 400, page


def test_nul_in_autocomplete_and_actions_is_no_error_of_the_server(admin_client: Client) -> None:
    make_level(5)
    for field in ("app_label", "model_name", "field_name", "term", "page"):
        asked = {"app_label": "inventory", "model_name": "product", "field_name": "parent", "term": "a"}
        answer = admin_client.get(reverse("admin:autocomplete"), asked | {field: "a\0b"})
        assert answer.status_code in {200, 400, 403, 404}, field
    address = reverse("admin:inventory_product_changelist")
    for action in ("print_labels", "a\0b"):
        sent = {"action": action, "_selected_action": ["a\0b"], "index": "0"}
        assert admin_client.post(address, sent).status_code in {200, 302, 400}


def test_nul_at_the_login_is_no_error_of_the_server() -> None:
    make_staff("viewer", name="vera", password=PASSWORD)
    browser = Client(headers={"Host": "localhost"})
    for name, password in (("ve\0ra", PASSWORD), ("vera", f"{PASSWORD}\0"), ("\0", "\0")):
        answer = browser.post(reverse("admin:login"), {"username": name, "password": password, "next": "/\0"})
        assert answer.status_code in {200, 400, 403, 429}
    assert browser.get("/admin/login/?next=%00").status_code in {200, 400}


@pytest.mark.parametrize("cookie", ["sessionid", "csrftoken", "messages", "console_zone"])
def test_nul_in_a_cookie_is_no_error_of_the_server(admin_user: User, cookie: str) -> None:
    for value in ('"a\\000b"', '"\\000"'):
        browser = Client(headers={"Host": "localhost"})
        browser.cookies.load(f"{cookie}={value}")
        assert "\0" in browser.cookies[cookie].value
        for path in ("/admin/", "/admin/login/", "/api/v1/products"):
            answer = browser.generic("GET", path, headers={"Cookie": f"{cookie}={value}"})
            assert answer.status_code in {200, 302, 400, 401, 403}, (path, answer.status_code)


@pytest.mark.parametrize("header", ["X-Request-ID", "Idempotency-Key", "Authorization", "If-Match", "User-Agent"])
def test_a_header_with_a_refused_character_is_no_error_of_the_server(api: Any, header: str) -> None:
    for value in ("a\x1db", "a\x7fb", "\xa0", "a\u200bb".encode().decode("latin1")):
        body = {"sku": "s", "name": "n"}
        answer = api.put(f"/api/v1/products/{uuid4()}", body, **{header.replace("-", "_"): value})
        assert answer.status_code < 500, (header, ascii(value))


# ------------------------------------------------------------------------------------------------------------ commands


@pytest.mark.parametrize("refused", REFUSED)
def test_options_of_commands_refuse_what_nobody_sees(refused: str, tmp_path: Any) -> None:
    file = tmp_path / "stock.csv"
    file.write_text("sku,warehouse,quantity,type,reason,reference\n")
    for command, arguments in {
        "issue_token": [f"a{refused}b", "--role", "checkout"],
        "import_stock": [str(file), "--actor", f"a{refused}b"],
        "reconcile": ["--repair", "--reason", f"a{refused}b"],
    }.items():
        with pytest.raises(CommandError, match=r"has the character U\+"):
            call_command(command, *arguments, stdout=StringIO(), stderr=StringIO())
    with pytest.raises(CommandError, match="has the character"):
        call_command("reconcile", "--actor", f"a{refused}b")
    with pytest.raises(CommandError, match="There is no store"):
        call_command("issue_token", "new", "--role", "checkout", "--store", f"a{refused}b")
    with pytest.raises(CommandError, match="There is no warehouse"):
        call_command("reconcile", "--warehouse", f"a{refused}b")


def test_options_of_commands_are_cleaned() -> None:
    call_command("issue_token", f" {UNCLEAN}", "--role", "checkout", stdout=StringIO())
    assert ApiClient.objects.filter(name=CLEAN).exists()
