"""`make screenshots`: takes the pictures of docs/guides/staff.md from a temporary service.

Starts the demonstration in a folder of its own on a free port, does a day's work over its API, opens the system's
Chromium, logs in as the group that each page is for, and writes docs/images/. It ends what it started, at the latest
when ``SECONDS`` are over.
"""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
IMAGES: Final = ROOT / "docs" / "images"
SECONDS: Final = 300
MOST_BYTES: Final = 150_000
