"""The folder of a test's archives."""

from pathlib import Path

import pytest
from django.conf import LazySettings


@pytest.fixture
def archive_folder(settings: LazySettings, tmp_path: Path) -> Path:
    settings.ARCHIVE_DIR = tmp_path / "archive"
    return tmp_path / "archive"
