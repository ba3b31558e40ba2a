"""Checks that share a scene don't affect one another, and each failed check is named."""

import pytest

from inventory.models import Product, Warehouse
from tests.factories import make_product, make_warehouse
from tests.rolling_back import check_each

pytestmark = pytest.mark.django_db


def test_checks_share_a_scene_but_not_what_they_change_and_all_that_fail_are_named() -> None:
    make_warehouse()
    seen = []

    def check(name: str, scene: list[str]) -> None:
        seen.append((name, list(scene), Product.objects.count(), Warehouse.objects.count()))
        make_product()
        scene.append(name)
        assert name != "wrong"
        if name == "not refused":
            with pytest.raises(LookupError):
                scene.append("nothing is raised")

    with pytest.raises(BaseExceptionGroup) as failed:
        check_each(["wrong", "right", "not refused"], ["made first"], check)
    assert [error.__notes__ for error in failed.value.exceptions] == [["wrong"], ["not refused"]]
    assert seen == [(name, ["made first"], 0, 1) for name in ("wrong", "right", "not refused")]
    assert not Product.objects.exists()
