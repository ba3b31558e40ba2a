"""The only reader of the environment.

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

from django.core.exceptions import ImproperlyConfigured

from config import embedded, logs, look, startup
from config.environment import MOST_DAYS, MOST_HOURS, MOST_MINUTES, Environment

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment()


def _generated_secret_key(path: Path) -> str:
    """A key for DEBUG, generated once per data folder so that sessions outlive a restart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(50))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # Atomic, and the first of several processes wins.
        Path(draft).unlink()
    return path.read_text(encoding="ascii")


DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
DATABASE_URL = env.str("DATABASE_URL", default="")
REDIS_URL = env.str("REDIS_URL", default="")

# Without a DATABASE_URL this is a developer's machine: the embedded servers are for development only.
DEBUG = env.bool("DEBUG", default=not DATABASE_URL)

SECRET_KEY = env.str("SECRET_KEY", default="")
_hosts = env.str("ALLOWED_HOSTS", default="localhost,127.0.0.1,[::1]" if DEBUG else "")
ALLOWED_HOSTS = [host.strip() for host in _hosts.split(",") if host.strip()]
_faults = startup.faults(
    debug=DEBUG,
    values={
        "SECRET_KEY": SECRET_KEY,
        "ALLOWED_HOSTS": _hosts,
        "DATABASE_URL": DATABASE_URL,
        "REDIS_URL": REDIS_URL,
        "EMAIL_HOST_PASSWORD": env.str("EMAIL_HOST_PASSWORD", default=""),
    },
    hosts=ALLOWED_HOSTS,
)
if _faults:
    raise ImproperlyConfigured("\n".join(_faults))
SECRET_KEY = SECRET_KEY or _generated_secret_key(DATA_DIR / "secret_key")
# Earlier keys, which sessions and the secrets of webhooks may still have been made with.
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])

if not (DATABASE_URL and REDIS_URL):
    _urls = embedded.urls(
        DATA_DIR,
        postgres=not DATABASE_URL,
        redis=not REDIS_URL,
        postgres_options=env.str("EMBEDDED_POSTGRES_OPTIONS", default=""),
    )
    DATABASE_URL = DATABASE_URL or str(_urls.database_url)
    REDIS_URL = REDIS_URL or str(_urls.redis_url)

# --- Stock -----------------------------------------------------------------------------------------------------------

RESERVATION_TTL_MINUTES = env.int("RESERVATION_TTL_MINUTES", default=15, least=1, most=MOST_MINUTES)
RESERVATION_MAX_TTL_MINUTES = env.int("RESERVATION_MAX_TTL_MINUTES", default=60, least=1, most=MOST_MINUTES)
LOCK_TIMEOUT = env.float("LOCK_TIMEOUT", default=10.0)
LOCK_RETRIES = env.int("LOCK_RETRIES", default=3)
GROUP_COMMIT = env.bool("GROUP_COMMIT", default=True)
GROUP_COMMIT_LEADERS = env.int("GROUP_COMMIT_LEADERS", default=1, least=1)
GROUP_COMMIT_LOCK_TIMEOUT = env.float("GROUP_COMMIT_LOCK_TIMEOUT", default=0.1)
SWEEP_INTERVAL_SECONDS = env.int("SWEEP_INTERVAL_SECONDS", default=15, least=1)
SWEEP_BATCH_SIZE = env.int("SWEEP_BATCH_SIZE", default=1000, least=1)
LOW_STOCK_INTERVAL_MINUTES = env.int("LOW_STOCK_INTERVAL_MINUTES", default=30, least=1, most=MOST_MINUTES)
LOW_STOCK_REMINDER_HOURS = env.int("LOW_STOCK_REMINDER_HOURS", default=24, most=MOST_HOURS)
IDEMPOTENCY_KEY_HOURS = env.int("IDEMPOTENCY_KEY_HOURS", default=24, least=1, most=MOST_HOURS)
LEVEL_EVENTS = env.bool("LEVEL_EVENTS", default=True)
DRAFT_DAYS = env.int("DRAFT_DAYS", default=30, least=1, most=MOST_DAYS)

# --- Retention -------------------------------------------------------------------------------------------------------

MOVEMENT_RETENTION_DAYS = env.int("MOVEMENT_RETENTION_DAYS", default=365, most=MOST_DAYS)
RESERVATION_RETENTION_DAYS = env.int("RESERVATION_RETENTION_DAYS", default=365, most=MOST_DAYS)
AUDIT_RETENTION_DAYS = env.int("AUDIT_RETENTION_DAYS", default=365, most=MOST_DAYS)
INBOX_RETENTION_DAYS = env.int("INBOX_RETENTION_DAYS", default=30, least=1, most=MOST_DAYS)
EVENT_RETENTION_DAYS = env.int("EVENT_RETENTION_DAYS", default=30, least=1, most=MOST_DAYS)
ARCHIVE_DIR = Path(env.str("ARCHIVE_DIR", default=str(DATA_DIR / "archive"))).resolve()
ARCHIVE_BATCH_SIZE = env.int("ARCHIVE_BATCH_SIZE", default=10_000, least=1)

# --- Events ----------------------------------------------------------------------------------------------------------

EVENT_SOURCE = env.uri_reference("EVENT_SOURCE", default="/inventory")
EVENT_STREAM = env.str("EVENT_STREAM", default="inventory:events")
EVENT_STREAM_URL = env.str("EVENT_STREAM_URL", default="") or REDIS_URL
EVENT_STREAM_LENGTH = env.int("EVENT_STREAM_LENGTH", default=100_000, least=1)
KAFKA_SERVERS = env.str("KAFKA_SERVERS", default="")
KAFKA_TOPIC = env.str("KAFKA_TOPIC", default="inventory.events")
KAFKA_OPTIONS = env.options("KAFKA_OPTIONS", default="")

# What other systems send (reservations.management.consuming).
INBOX_STREAM = env.str("INBOX_STREAM", default="")
INBOX_STREAM_URL = env.str("INBOX_STREAM_URL", default="") or REDIS_URL
INBOX_TOPICS = env.list("INBOX_TOPICS", default=[])
INBOX_GROUP = env.str("INBOX_GROUP", default="inventory")
INBOX_CLIENT = env.str("INBOX_CLIENT", default="")
INBOX_CLAIM_SECONDS = env.float("INBOX_CLAIM_SECONDS", default=60.0)

# --- Web server ------------------------------------------------------------------------------------------------------

WEB_SERVES = env.choice("WEB_SERVES", default="all", choices=("all", "api", "console"))
# How long proxies have to notice that a web process is about to stop (config.draining). A developer doesn't wait.
SHUTDOWN_GRACE_SECONDS = env.float("SHUTDOWN_GRACE_SECONDS", default=0.0 if DEBUG else 5.0)

# --- API -------------------------------------------------------------------------------------------------------------

THROTTLE_REQUESTS_PER_MINUTE = env.int("THROTTLE_REQUESTS_PER_MINUTE", default=600_000)
THROTTLE_COST_PER_MINUTE = env.int("THROTTLE_COST_PER_MINUTE", default=120_000)
THROTTLE_FAILED_TOKENS_PER_MINUTE = env.int("THROTTLE_FAILED_TOKENS_PER_MINUTE", default=60)
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)
CONNECTIONS_PER_ADDRESS = env.int("CONNECTIONS_PER_ADDRESS", default=256)
EVENT_LISTENERS = env.int("EVENT_LISTENERS", default=2000, least=1)
CATALOGUE_CACHE_SECONDS = env.float("CATALOGUE_CACHE_SECONDS", default=5.0)
TOKEN_CACHE_SECONDS = env.float("TOKEN_CACHE_SECONDS", default=5.0)
API_DOCS = env.bool("API_DOCS", default=True)
BODY_LIMIT_BYTES = 256 * 1024
# What somebody who is logged in may send, files included; a stranger sends 16 KiB.
UPLOAD_LIMIT_BYTES = 2 * 1024 * 1024
# The longest time for 16 KiB of a body, and for 64 KiB of an answer that is made while it is sent.
PROGRESS_SECONDS = env.float("PROGRESS_SECONDS", default=10.0)
# A file that is imported.
IMPORT_LIMIT_BYTES = 9 * 1024 * 1024
# All bodies that a process holds at a time.
BODIES_LIMIT_BYTES = 64 * 1024 * 1024
# Higher than the API's limit, so that Django's own check doesn't answer 400 where the contract says 413.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# --- Webhooks --------------------------------------------------------------------------------------------------------

# On a developer's machine the receiver is mostly there, too.
WEBHOOK_ALLOWED_NETWORKS = env.networks("WEBHOOK_ALLOWED_NETWORKS", default="127.0.0.0/8,::1/128" if DEBUG else "")
WEBHOOK_ALLOW_HTTP = env.bool("WEBHOOK_ALLOW_HTTP", default=DEBUG)
WEBHOOK_CA_FILE = env.str("WEBHOOK_CA_FILE", default="")
WEBHOOK_CONNECTIONS = env.int("WEBHOOK_CONNECTIONS", default=200, least=1)
WEBHOOK_CONNECTIONS_EACH = env.int("WEBHOOK_CONNECTIONS_EACH", default=16, least=1)
WEBHOOK_ATTEMPT_DAYS = env.int("WEBHOOK_ATTEMPT_DAYS", default=30, least=1, most=MOST_DAYS)

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
    "default": {
        **env.db_url_config(DATABASE_URL),
        "CONN_HEALTH_CHECKS": False,
        "OPTIONS": {
            # Parameters are bound by the server, so that a statement's text is constant and can be prepared.
            "server_side_binding": True,
            "prepare_threshold": 3 if env.bool("DATABASE_PREPARED_STATEMENTS", default=True) else None,
        },
    }
}
_pool_size = env.int("DATABASE_POOL_SIZE", default=0)
if _pool_size:
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": 1,
        "max_size": _pool_size,
        "timeout": LOCK_TIMEOUT,
        "num_workers": 1,
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = None

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": env.int("PASSWORD_MIN_LENGTH", default=12)},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

PASSWORD_HASHERS = ["config.passwords.PasswordHasher"]

# Password guessing is blocked by user and address together, since all terminals of a warehouse share one address.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = env.int("LOGIN_FAILURES", default=5)
AXES_COOLOFF_TIME = timedelta(minutes=env.int("LOGIN_LOCKOUT_MINUTES", default=15, least=1, most=MOST_MINUTES))
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "config.addresses.network_of_caller"
AXES_HANDLER = "config.lockout.LockoutHandler"
# Never kept with a failure: what the page to change one's password is sent.
AXES_SENSITIVE_PARAMETERS = ["old_password", "new_password1", "new_password2"]
LOGIN_FAILURES_PER_ADDRESS = env.int("LOGIN_FAILURES_PER_ADDRESS", default=50)
LOGIN_FAILURES_PER_NAME = env.int("LOGIN_FAILURES_PER_NAME", default=50)
AXES_LOCKOUT_CALLABLE = "config.problems.locked_out"
AXES_ENABLE_ADMIN = False
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False

# The time after its last request at which a session ends: terminals in a hall are often left unattended.
SESSION_COOKIE_AGE = env.int("SESSION_MINUTES", default=480, least=1, most=MOST_MINUTES) * 60
SESSION_SAVE_EVERY_REQUEST = True
SESSION_MAX_HOURS = env.int("SESSION_MAX_HOURS", default=24, least=1, most=MOST_HOURS)
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
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(DATA_DIR / "static")))
CSRF_FAILURE_VIEW = "config.error_pages.form_too_old"
DEFAULT_EXCEPTION_REPORTER = "config.error_pages.PageReporter"
WHITENOISE_USE_FINDERS = DEBUG
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

if not DEBUG:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.bool("SECURE_COOKIES", default=True)
    CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
    # Sent with answers to HTTPS alone.
    SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=31_536_000)
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
    "DESCRIPTION": "Holds stock for shoppers, turns holds into sales exactly once, never sells a unit twice.",
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

# --- Mail ------------------------------------------------------------------------------------------------------------

EMAIL_BACKEND = env.str(
    "EMAIL_BACKEND", default=f"django.core.mail.backends.{'console' if DEBUG else 'smtp'}.EmailBackend"
)
EMAIL_HOST = env.str("EMAIL_HOST", default="localhost")
EMAIL_PORT = env.int("EMAIL_PORT", default=25)
EMAIL_HOST_USER = env.str("EMAIL_HOST_USER", default="")
EMAIL_HOST_PASSWORD = env.str("EMAIL_HOST_PASSWORD", default="")
EMAIL_USE_TLS = env.bool("EMAIL_USE_TLS", default=False)
EMAIL_USE_SSL = env.bool("EMAIL_USE_SSL", default=False)
EMAIL_TIMEOUT = env.int("EMAIL_TIMEOUT", default=10)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="inventory@localhost")

# --- Logs ------------------------------------------------------------------------------------------------------------

LOGGING_CONFIG = None
logs.configure(json=not DEBUG, level=env.str("LOG_LEVEL", default="INFO"))

MIGRATION_LINTER_OPTIONS = {
    "exclude_apps": ["admin", "auth", "axes", "contenttypes", "sessions"],
    # They add unique constraints, which the rows meet: these migrations, or the one before, have numbered them, and
    # drafts were unique for each name, as they are now for each account. The last one makes another table of the
    # outbox, and moves its rows.
    "ignore_name": ["0016_each_sku_once", "0019_documents_have_numbers", "0023_drafts_of_accounts", "0008_event_log"],
}
