"""The WSGI application, served by granian."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Threads of a web process share few connections: on a hot row more of them only queue in the database.
os.environ.setdefault("DATABASE_POOL_SIZE", "8")

application = get_wsgi_application()
