"""The environment is parsed here, once. A wrong value stops the start with its name."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dj_database_url
import django_stubs_ext
from csp.constants import NONE, SELF

from config import broker
from config import environment as read

# So that `ModelForm[Plan]` means at run time what it means to the type checker.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent

ENV_FILE = read.env_file(BASE_DIR)
env = read.open_environment(ENV_FILE)

# Each of these stands in .env.example with its default; a test compares the two.
DATA_DIR = read.folder(env, "RANKLOOP_DATA", BASE_DIR / "data", BASE_DIR)
DEBUG = read.switch(env, "RANKLOOP_DEBUG", default=False)
HOSTS = read.words(env, "RANKLOOP_HOSTS", ["localhost", "127.0.0.1", "[::1]"], read.is_host)
ORIGINS = read.words(env, "RANKLOOP_ORIGINS", [], read.is_origin)
HTTPS = read.switch(env, "RANKLOOP_HTTPS", default=False)
BIND = read.text(env, "RANKLOOP_BIND", "127.0.0.1", read.is_bind_address)
PORT = read.whole(env, "RANKLOOP_PORT", 8000, 1, 65535)
WEB_WORKERS = read.whole(env, "RANKLOOP_WEB_WORKERS", 1, 1, 64)
DATABASE = read.text(env, "RANKLOOP_DATABASE", "", read.is_database)
BROKER = read.text(env, "RANKLOOP_BROKER", "", read.is_broker)
SECRET = read.text(env, "RANKLOOP_SECRET_KEY", "", read.is_secret)
STATIC_ROOT = read.folder(env, "RANKLOOP_STATIC", DATA_DIR / "static", BASE_DIR)
MODEL = read.text(env, "RANKLOOP_MODEL", "", read.is_model)
DEVICE = read.text(env, "RANKLOOP_DEVICE", "auto", read.is_device)
MACHINE = read.text(env, "RANKLOOP_MACHINE", "", read.is_machine) or socket.gethostname()
SAMPLER_IDLE_SECONDS = read.whole(env, "RANKLOOP_SAMPLER_IDLE_SECONDS", 600, 1, 7 * 24 * 3600)
SAMPLING_URL = read.text(env, "RANKLOOP_SAMPLING_URL", "", read.is_server)
SAMPLING_KEY = read.text(env, "RANKLOOP_SAMPLING_KEY", "", read.is_key)
LEASE_MINUTES = read.whole(env, "RANKLOOP_LEASE_MINUTES", 10, 1, 24 * 60)
RUN_LEASE_SECONDS = read.whole(env, "RANKLOOP_RUN_LEASE_SECONDS", 60, 5, 3600)
TICK_SECONDS = read.whole(env, "RANKLOOP_TICK_SECONDS", 10, 1, 60)
LOG_LEVEL = read.choice(env, "RANKLOOP_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
DEMO = read.switch(env, "RANKLOOP_DEMO", default=True)
read.seal(env, read.given(ENV_FILE))


def _secret_key() -> str:
    """The key from the environment, or one generated once and kept with mode 0600."""
    if SECRET:
        return SECRET
    path = DATA_DIR / "secret_key"
    if not path.exists():
        fresh = path.with_suffix(f".{secrets.token_hex(4)}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(64))
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            pass  # another process was first; its key stands
        fresh.unlink()
    return path.read_text().strip()


SECRET_KEY = _secret_key()
ALLOWED_HOSTS = HOSTS
CSRF_TRUSTED_ORIGINS = ORIGINS
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "template_partials",
    "django_htmx",
    "django_filters",
    "axes",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "labeling",
    "training",
    "config",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",  # pads at random: a length tells no secret
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "config.languages.PersonsLanguage",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]

TEMPLATES = [
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
        },
    },
]

SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": DATA_DIR / "rankloop.sqlite3",
    "CONN_MAX_AGE": None,
    # A file as well: one in memory would be one connection for all threads of a test's server.
    "TEST": {"NAME": DATA_DIR / "test.sqlite3"},
    "OPTIONS": {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA mmap_size=33554432; "
            "PRAGMA cache_size=-4000; PRAGMA temp_store=MEMORY; "
            "PRAGMA journal_size_limit=67108864"
        ),
    },
}


def _postgresql(url: str) -> dict[str, Any]:
    """Options in the address (`?sslmode=require`) stay, and a connection pool comes to them."""
    parsed: dict[str, Any] = dict(dj_database_url.parse(url, conn_health_checks=True))
    pool = {"min_size": 1, "max_size": 8, "timeout": 20}
    return parsed | {"OPTIONS": parsed.get("OPTIONS", {}) | {"pool": pool}}


DATABASES: dict[str, dict[str, Any]] = {"default": _postgresql(DATABASE) if DATABASE else SQLITE}

AUTH_USER_MODEL = "labeling.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign-in"
AXES_VERBOSE = False
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25
AXES_CLIENT_IP_CALLABLE = "labeling.addresses.client_address"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_TEMPLATE = "locked_out.html"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
"""Each by its own name: whoever looks for it reads that one."""
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
LOCALE_PATHS = [BASE_DIR / "locale"]

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "artifacts": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": DATA_DIR / "artifacts"},
    },
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "config.static_files.HashedStaticFiles"
    },
}
MEDIA_ROOT = DATA_DIR / "media"
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 2**20
FILE_UPLOAD_MAX_MEMORY_SIZE = 2**20
FILE_UPLOAD_HANDLERS = [
    "labeling.uploads.Gate",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
FILE_UPLOAD_TEMP_DIR = DATA_DIR / "uploads"
FILE_UPLOAD_TEMP_DIR.mkdir(exist_ok=True)

SESSION_ENGINE = "labeling.sessions"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 30 * 24 * 3600
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health/$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    },
}

BROKER_SOCKET = broker.socket_path(DATA_DIR)
CELERY_BROKER_URL = BROKER or f"redis+socket://{quote(str(BROKER_SOCKET))}?virtual_host=0"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "training.tasks.train": {"queue": "training"},
    "training.tasks.sample": {"queue": "sampling"},
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 60,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 10,
}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE = {
    "tick": {
        "task": "training.tasks.tick",
        "schedule": TICK_SECONDS,
        "options": {"expires": TICK_SECONDS},  # ticks don't pile up while no worker is there
    },
    "labeling-tick": {
        "task": "labeling.tasks.tick",
        "schedule": TICK_SECONDS,
        "options": {"expires": TICK_SECONDS},
    },
}
# Kept in memory: its entries are due each few seconds, and what is due stands in rows.
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["labeling.api.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.CursorPagination",
    "PAGE_SIZE": 100,
    "EXCEPTION_HANDLER": "labeling.api.errors.handle",
    "NUM_PROXIES": 1 if HTTPS else 0,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Rankloop",
    "DESCRIPTION": "Preference data out, prompts and rankings in, runs started and watched.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_SETTINGS": {"persistAuthorization": False, "displayOperationId": False},
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "labeling.api.schema.add_errors_and_tags",
    ],
    "ENUM_NAME_OVERRIDES": {
        "SourceKind": "labeling.models.Source.Kind",
        "SlatePurpose": "labeling.models.Purpose",
        "PromptKind": "labeling.models.Prompt.Kind",
        "PromptSplit": "labeling.models.Split",
        "DatasetKind": "training.models.Dataset.Kind",
        "CheckpointKind": "training.models.Checkpoint.Kind",
        "DeploymentKind": "training.models.Deployment.Kind",
        "RunKind": "training.models.Run.Kind",
        "RunState": "training.models.Run.State",
        "RoundState": "training.models.Round.State",
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
            "datefmt": "%Y-%m-%d %H:%M:%S",
        },
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        # Celery names every task that it sends, receives, drops and ends, once a tick.
        **{
            f"celery.{name}": {"level": "DEBUG" if LOG_LEVEL == "DEBUG" else "WARNING"}
            for name in ("app.trace", "beat", "worker.request", "worker.strategy")
        },
        # Django's own handlers mail errors and write to the console only under DEBUG.
        "django": {"handlers": [], "level": LOG_LEVEL, "propagate": True},
        "django.server": {"handlers": [], "level": LOG_LEVEL, "propagate": True},
    },
}
