"""Helpers for tests that begin, change and post drafts on their pages."""

from typing import Any
from uuid import uuid4

from django.test import Client
from django.urls import reverse

from inventory.models import StockLevel, Transfer
from inventory.services.transfers import commands as transfers
from inventory.services.transfers.commands import MoveLine, TransferRequest
from tests.factories import ACTOR, make_warehouse


def scan(code: str, **fields: Any) -> dict[str, Any]:
    return {"id": str(uuid4()), "code": code, **fields}


def send(browser: Client, path: str, page: str = "scans", **body: Any) -> Any:
    """Send scans or changes as the scripts of a draft's page do."""
    return browser.post(f"{path}{page}/", body, content_type="application/json")


def scanned(browser: Client, path: str, *scans: dict[str, Any]) -> list[dict[str, Any]]:
    """The outcomes of scans."""
    answer = send(browser, path, scans=list(scans))
    assert answer.status_code == 200, answer.content
    outcomes: list[dict[str, Any]] = answer.json()["outcomes"]
    return outcomes


def statuses(outcomes: list[dict[str, Any]]) -> list[str]:
    return [outcome["status"] for outcome in outcomes]


def sent(level: StockLevel, units: int, to: str = "wh-002") -> str:
    """Send units to another warehouse. Returns the address at which they are received."""
    make_warehouse(to)
    transfers.start_transfer(TransferRequest(ACTOR, (MoveLine(level.product_id, None, units, "wh-001", to),)))
    return reverse("admin:inventory_transfer_receive", args=[Transfer.objects.latest("id").pk])
