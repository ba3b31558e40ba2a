"""The staff guide matches the console: its pictures exist, and their pages open for the groups that need them."""

import re
from pathlib import Path

import pytest
from django.urls import reverse

from audit.roles import STAFF_GROUPS
from tests.browser.screenshots import IMAGES, MOST_BYTES
from tests.browser.screenshots.shots import SHOTS
from tests.factories import make_level
from tests.staff import browser_of, make_staff

GUIDE = IMAGES.parent / "guides" / "staff.md"
_PNG = b"\x89PNG\r\n\x1a\n"


def shown() -> list[tuple[str, str]]:
    """The guide's pictures: the text of each, and its path from docs/guides/."""
    return re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", GUIDE.read_text(encoding="utf-8"))


def size_of(picture: Path) -> tuple[int, int]:
    """Width and height of a PNG, in pixels."""
    head = picture.read_bytes()[:24]
    assert head.startswith(_PNG), picture
    return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])


def test_guide_shows_every_picture_that_is_taken_once_and_no_other() -> None:
    assert sorted(path for _, path in shown()) == sorted(f"../images/{shot.file}" for shot in SHOTS)
    assert sorted(path.name for path in IMAGES.iterdir()) == sorted(shot.file for shot in SHOTS)


def test_every_picture_is_described_and_small_and_of_the_size_it_was_asked_for() -> None:
    assert all(len(said) > 15 for said, _ in shown())
    for shot in SHOTS:
        assert size_of(IMAGES / shot.file) == shot.size, shot.name
        assert (IMAGES / shot.file).stat().st_size <= MOST_BYTES, shot.name


def test_every_link_within_the_guide_leads_to_a_heading() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    titles = re.findall(r"^## (.+)$", text, re.MULTILINE)
    headings = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) == headings


def test_guide_and_first_steps_name_every_group() -> None:
    groups = [group.name for group in STAFF_GROUPS]
    table = GUIDE.read_text(encoding="utf-8").split("| group | may |")[1].split("\n\n")[0]
    assert re.findall(r"^\| (\w+) \|", table, re.MULTILINE) == groups
    first_steps = (IMAGES.parent / "getting-started.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`demo-(\w+)`", first_steps)) == set(groups)


@pytest.mark.django_db
@pytest.mark.parametrize("group", sorted({shot.group for shot in SHOTS if shot.entry}))
def test_every_entry_of_the_guide_is_in_the_sidebar_of_its_group_and_opens(group: str) -> None:
    make_level(3)
    browser = browser_of(make_staff(group))
    home = browser.get(reverse("admin:index"))
    sidebar = {
        str(item["title"]): item["link"] for part in home.context["sidebar_navigation"] for item in part["items"]
    }
    for entry in sorted({shot.entry for shot in SHOTS if shot.entry and shot.group == group}):
        assert browser.get(sidebar[entry]).status_code == 200, entry
