"""Django's settings. They import every variable of the environment, which `config/variables/` declare.

Every variable is listed with its meaning, unit and default in docs/reference/configuration.md.
"""

import contextlib
import importlib.util
import os
import secrets
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from config import database, embedded, logs, look, server_addresses, startup
from config.environment import PROCESS
from config.logs.redacting import secrets_of
from config.variables import *  # noqa: F403 - each is a setting
from config.variables import events, programs, servers, staff, stock

startup.refuse_faults()

BASE_DIR, DATA_DIR, DEBUG, IS_LOCAL = servers.BASE_DIR, servers.DATA_DIR, servers.DEBUG, servers.IS_LOCAL


def _generated_secret_key(path: Path) -> str:
    """A key for DEBUG and DEMO, generated once per data folder so that sessions outlive a restart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(50))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # Atomic, and the first of several processes wins.
        Path(draft).unlink()
    return path.read_text(encoding="ascii")


SECRET_KEY = servers.SECRET_KEY or _generated_secret_key(DATA_DIR / "secret_key")
DATABASE_URL, REDIS_URL = servers.DATABASE_URL, servers.REDIS_URL
if not (DATABASE_URL and REDIS_URL):
    _urls = embedded.urls(
        DATA_DIR,
        postgres=not DATABASE_URL,
        redis=not REDIS_URL,
        postgres_options=servers.EMBEDDED_POSTGRES_OPTIONS,
    )
    DATABASE_URL = DATABASE_URL or str(_urls.database_url)
    REDIS_URL = REDIS_URL or str(_urls.redis_url)
EVENT_STREAM_URL = events.EVENT_STREAM_URL or REDIS_URL
INBOX_STREAM_URL = events.INBOX_STREAM_URL or REDIS_URL

# --- Limits ----------------------------------------------------------------------------------------------------------

BODY_LIMIT_BYTES = 256 * 1024
# What somebody who is logged in may send, files included; a stranger sends 16 KiB.
UPLOAD_LIMIT_BYTES = 2 * 1024 * 1024
# A file that is imported.
IMPORT_LIMIT_BYTES = 9 * 1024 * 1024
# All bodies that a process holds at a time.
BODIES_LIMIT_BYTES = 64 * 1024 * 1024
# Higher than the API's limit, so that Django's own check doesn't answer 400 where the contract says 413.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# --- Django ----------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "config.console.ConsoleConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "pgtrigger",
    "import_export",
    "axes",
    "audit",
    "inventory",
    "reservations",
    "config",
]

if importlib.util.find_spec("django_migration_linter"):  # A tool for developers, not in the image.
    INSTALLED_APPS.append("django_migration_linter")

MIDDLEWARE = [
    "config.middleware.RequestContextMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "config.middleware.SessionEndMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.middleware.ConsoleMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "config.urls"
APPEND_SLASH = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "libraries": {"list_numbers": "audit.console.list_numbers"},
        },
    }
]

DATABASES: dict[str, dict[str, Any]] = {
    "default": database.configuration(
        server_addresses.database_parts(DATABASE_URL),
        pool_size=programs.DATABASE_POOL_SIZE,
        prepared_statements=programs.DATABASE_PREPARED_STATEMENTS,
        patience_seconds=stock.LOCK_TIMEOUT,
    )
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": staff.PASSWORD_MIN_LENGTH},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

PASSWORD_HASHERS = ["config.passwords.PasswordHasher"]

# Password guessing is blocked by user and address together, since all terminals of a warehouse share one address.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = staff.LOGIN_FAILURES
AXES_COOLOFF_TIME = timedelta(minutes=staff.LOGIN_LOCKOUT_MINUTES)
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "config.addresses.network_of_caller"
AXES_HANDLER = "config.lockout.LockoutHandler"
# Never kept with a failure: what the page to change one's password is sent.
AXES_SENSITIVE_PARAMETERS = ["old_password", "new_password1", "new_password2"]
AXES_LOCKOUT_CALLABLE = "config.problems.locked_out"
AXES_ENABLE_ADMIN = False
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False

# The time after its last request at which a session ends: terminals in a hall are often left unattended.
SESSION_COOKIE_AGE = staff.SESSION_MINUTES * 60
SESSION_SAVE_EVERY_REQUEST = True
SESSION_COOKIE_HTTPONLY = True

IMPORT_EXPORT_ESCAPE_FORMULAE_ON_EXPORT = True

UNFOLD = look.UNFOLD

LANGUAGE_CODE = "en-us"
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["config.formats"]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "audit/console/static"]
CSRF_FAILURE_VIEW = "config.error_pages.form_too_old"
DEFAULT_EXCEPTION_REPORTER = "config.error_pages.PageReporter"
# The image collects static files, which a developer's machine serves from where they are.
WHITENOISE_USE_FINDERS = IS_LOCAL
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if IS_LOCAL
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

if not DEBUG:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if servers.TRUSTED_PROXIES else None
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = servers.SECURE_COOKIES
    # Sent with answers to HTTPS alone.
    SECURE_HSTS_SECONDS = servers.HSTS_SECONDS
    # Other names of this domain, and whether HTTP is redirected, are for the proxy that has the certificate.
    SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["config.throttling.ThrottledTokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["config.throttling.ClientThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "config.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Inventory reservation service",
    "VERSION": "1.0.0",
    "DESCRIPTION": "Holds stock for shoppers, turns holds into sales exactly once, and never sells a unit twice. Each"
    " request needs a token (`Authorization: Bearer …`). Each refusal is a problem document (RFC 9457) with a `code`."
    " Send a command with an `Idempotency-Key`: it may then be sent again without harm.",
    "CONTACT": {"name": "The maintainers of the inventory reservation service"},
    "LICENSE": {"name": "MIT", "identifier": "MIT"},
    "SERVERS": [
        {"url": "/", "description": "The service that this document comes from."},
        {
            "url": "{address}",
            "description": "Any other service.",
            "variables": {"address": {"default": "http://localhost:8000", "description": "Scheme, host and port."}},
        },
    ],
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "PREPROCESSING_HOOKS": ["config.openapi.only_the_current_version"],
    "POSTPROCESSING_HOOKS": ["config.openapi.add_components"],
}

# --- Background ------------------------------------------------------------------------------------------------------

CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = TIME_ZONE

# --- Logs ------------------------------------------------------------------------------------------------------------

LOGGING_CONFIG = None
logs.configure(json=not IS_LOCAL, level=servers.LOG_LEVEL, secrets=secrets_of(PROCESS))

MIGRATION_LINTER_OPTIONS = {
    "exclude_apps": ["admin", "auth", "axes", "contenttypes", "sessions"],
    # They add unique constraints, which the rows meet: these migrations, or the one before, have numbered them, and
    # drafts were unique for each name, as they are now for each account. The last one makes another table of the
    # outbox, and moves its rows.
    "ignore_name": ["0016_each_sku_once", "0019_documents_have_numbers", "0023_drafts_of_accounts", "0008_event_log"],
}
