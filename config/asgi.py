"""The ASGI application, served by granian."""

import os

import django

from config.startup import WEB_POOL_SIZE

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# The threads of a web process share few connections: with contention on a row, more would only queue in the database.
# Those of the console, of files, passwords and probes use 8 at most (config.lanes), so that 12 are left for the API.
os.environ.setdefault("DATABASE_POOL_SIZE", str(WEB_POOL_SIZE))
django.setup()

from config import tracing  # noqa: E402 - its imports, and what follows, read the settings and the models
from config.asgi_app import Application  # noqa: E402

if tracing.is_wanted():
    from config.traced_app import TracedApplication as Application

application = Application()
