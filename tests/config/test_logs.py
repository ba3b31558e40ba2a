"""What others can make the service log is short."""

import json
import os
import subprocess
import sys

from django.conf import settings

PROGRAM = """
import django
from config import settings
# The page is shown without collected files.
settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
django.setup()
from django.test import Client
answer = Client(raise_request_exception=False).get("/admin/login/", headers={"Host": "x" * 5000 + ".example"})
print(answer.status_code)
"""


def test_refused_host_is_one_short_line() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        cwd=settings.BASE_DIR,
        env={
            "PATH": os.defpath,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DATABASE_URL": "postgres://u:p@db.example/stock",
            "REDIS_URL": "redis://redis.example",
            "SECRET_KEY": "0123456789" * 6,
            "ALLOWED_HOSTS": "shop.example",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "400\n", done.stderr
    [line] = done.stderr.splitlines()
    assert len(line) < 800
    logged = json.loads(line)
    assert logged["event"].startswith("Invalid HTTP_HOST header: 'xxx")
    assert "exception" not in logged
