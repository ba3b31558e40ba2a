"""The ASGI application, served by granian."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# The threads of a web process share few connections: with contention on a row, more would only queue in the database.
os.environ.setdefault("DATABASE_POOL_SIZE", "12")
django.setup()

from config.asgi_app import Application  # noqa: E402 - its imports read the settings and the models

application = Application()
