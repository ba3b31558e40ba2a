"""The ASGI application, served by granian."""

import os

import django
from django.conf import LazySettings

from config.startup import WEB_POOL_SIZE

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# The threads of a web process share few connections: with contention on a row, more would only queue in the database.
# Those of the console, of files, passwords and probes use 8 at most (config.lanes), so that 12 are left for the API.
os.environ.setdefault("DATABASE_POOL_SIZE", str(WEB_POOL_SIZE))
# Django's ``__getattribute__`` searches for methods of a proxy at each read, but settings have none. A request reads 15
# settings, and each took 0.3 µs instead of 0.04.
LazySettings.__getattribute__ = object.__getattribute__  # type: ignore[method-assign]
django.setup()

from config import tracing  # noqa: E402 - its imports, and what follows, read the settings and the models
from config.asgi_app import Application  # noqa: E402

if tracing.is_wanted():
    from config.traced_app import TracedApplication as Application

application = Application()
