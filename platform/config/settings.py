"""Settings, all from the environment. Each variable is explained in docker/env.example."""

import os
from pathlib import Path

from csp.constants import NONE, SELF

from journal import env

ROOT = Path(__file__).resolve().parent.parent.parent

DEBUG = env.flag("DEBUG", False)
SECRET_KEY = env.text("SECRET_KEY")
BASE_URL = env.text("BASE_URL", "http://127.0.0.1:8000").rstrip("/")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS", BASE_URL)
DATA = Path(env.text("VAGLIO_DATA", str(ROOT / ".demo" / "data")))

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "csp",
    "django_htmx",
    "pgtrigger",
    # Before allauth: its account pages are drawn by our templates.
    "web",
    "allauth",
    "allauth.account",
    "config",
    "journal",
    "accounts",
    "billing",
    "moderation",
    "generation",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "web.middleware.kept_by_nobody",
    "web.middleware.api_speaks_json",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "web.context.site",
            ],
        },
    },
]

# Two roles. The application owns nothing, so that no trigger can be switched off by it.
DATABASES = {"default": env.database("DATABASE_URL")}
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
# Under ASGI each request has a thread of its own: connections come from a pool. Workers keep one each.
if pool_size := env.integer("DATABASE_POOL_SIZE", 0):
    DATABASES["default"]["OPTIONS"]["pool"] = {"min_size": 1, "max_size": pool_size, "timeout": 10}
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 60
DATABASES["owner"] = env.database("DATABASE_OWNER_URL", env.text("DATABASE_URL"))
DATABASES["owner"]["TEST"] = {"MIRROR": "default"}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Attempts to sign in are counted here, for all web processes together.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "journal_cache",
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    }
}

STORAGES = {
    "default": {"BACKEND": "journal.files.NoStore"},
    "staticfiles": {"BACKEND": "servestatic.storage.CompressedManifestStaticFilesStorage"},
    "quarantine": {
        "BACKEND": env.text("QUARANTINE_BACKEND", "django.core.files.storage.FileSystemStorage"),
        "OPTIONS": {"location": env.text("QUARANTINE_LOCATION", str(DATA / "quarantine"))},
    },
    "released": {
        "BACKEND": env.text("RELEASED_BACKEND", "django.core.files.storage.FileSystemStorage"),
        "OPTIONS": {"location": env.text("RELEASED_LOCATION", str(DATA / "released"))},
    },
}
AUDIT_HEAD_FILE = Path(env.text("AUDIT_HEAD_FILE", str(DATA / "audit-head.jsonl")))

STATIC_URL = "/static/"
STATIC_ROOT = Path(env.text("STATIC_ROOT", str(DATA / "static")))
# In the demo files are served straight from the source folders.
STATIC_FROM_SOURCE = env.flag("STATIC_FROM_SOURCE", True)
if STATIC_FROM_SOURCE:
    STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}

# People
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
ACCOUNT_ADAPTER = "config.adapter.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_DEFAULT_HTTP_PROTOCOL = BASE_URL.partition(":")[0]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/studio/"
ACCOUNT_LOGOUT_REDIRECT_URL = "/"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
EMAIL_BACKEND = env.text("EMAIL_BACKEND", "django.core.mail.backends.filebased.EmailBackend")
EMAIL_FILE_PATH = str(DATA / "mail")
EMAIL_HOST = env.text("EMAIL_HOST", "localhost")
EMAIL_PORT = env.integer("EMAIL_PORT", 25)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = env.flag("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "Vaglio <noreply@vaglio.example>")

# Behind TLS unless the address says otherwise (the demo on loopback).
TLS = BASE_URL.startswith("https://")
SESSION_ENGINE = "accounts.sessions"
SESSION_COOKIE_SECURE = TLS
CSRF_COOKIE_SECURE = TLS
CSRF_FAILURE_VIEW = "web.views.csrf_failure"
SECURE_SSL_REDIRECT = TLS and env.flag("SSL_REDIRECT", True)
BEHIND_PROXY = env.flag("BEHIND_PROXY", False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
# Attempts to sign in are counted for each address: the proxy's must not stand for everybody's.
ALLAUTH_TRUSTED_PROXY_COUNT = 1 if BEHIND_PROXY else 0
SECURE_HSTS_SECONDS = 31_536_000 if TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = TLS and env.flag("HSTS_INCLUDE_SUBDOMAINS", False)
SECURE_HSTS_PRELOAD = TLS and env.flag("HSTS_PRELOAD", False)
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# Where Stripe's hosted pages lie: a form of ours that buys is sent on there.
STRIPE_PAGES = env.words("STRIPE_PAGES", "https://checkout.stripe.com,https://billing.stripe.com")
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "media-src": [SELF],
        "connect-src": [SELF],
        "font-src": [SELF],
        "form-action": [SELF, *STRIPE_PAGES],
        "manifest-src": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

# The broker carries wake-ups only. Reconnecting every second is done by SteadyConsumer.
CELERY_BROKER_URL = env.text("BROKER_URL", "redis://127.0.0.1:6379/0")
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {"visibility_timeout": 3600, "socket_timeout": 5, "socket_connect_timeout": 2}
    if CELERY_BROKER_URL.startswith(("redis", "rediss"))
    else {}
)
CELERY_WORKER_CONSUMER = "config.celery:SteadyConsumer"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "draw"
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 10
# A child that loads weights says nothing for a while.
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 180

# Selling. Without a key nothing is sold, and everybody has the free plan.
PLANS = Path(env.text("VAGLIO_PLANS", str(ROOT / "billing" / "plans.toml")))
STRIPE_SECRET_KEY = env.text("STRIPE_SECRET_KEY", "")
STRIPE_WEBHOOK_SECRET = env.text("STRIPE_WEBHOOK_SECRET", "")
STRIPE_API_BASE = env.text("STRIPE_API_BASE", "https://api.stripe.com").rstrip("/")
STRIPE_TIMEOUT = env.seconds("STRIPE_TIMEOUT", 20, least=0.1)
STRIPE_RETRIES = env.integer("STRIPE_RETRIES", 2)
# Above so many credits, or so much money in its smallest unit, a second billing admin has to agree.
SECOND_PERSON_CREDITS = env.integer("SECOND_PERSON_CREDITS", 2000)
SECOND_PERSON_MONEY = env.integer("SECOND_PERSON_MONEY", 5000)
# What an hour of drawing costs the house, in the smallest unit of the shop's currency: for the margin of each model.
DRAWING_HOUR_COST = env.integer("DRAWING_HOUR_COST", 150)

# Drawing. Threads of one drawing worker on a CPU; 0 leaves it to torch.
DRAW_THREADS = env.integer("DRAW_THREADS", 0)
# Gigabytes that weights may take; 0 leaves it to the engine.
DRAW_MEMORY_GB = env.integer("DRAW_MEMORY_GB", 0)
ENGINE = env.choice("VAGLIO_ENGINE", "diffusers", {"diffusers", "fake"})
CATALOGUE = Path(env.text("VAGLIO_CATALOGUE", str(ROOT / "generation" / "catalogue")))
# The models that are sold, by their cards' names, the first one first. Empty: those that need no fetching.
MODELS = env.words("VAGLIO_MODELS")
WEIGHTS = Path(env.text("VAGLIO_WEIGHTS", str(ROOT / "training" / "weights")))
# Folders of other CLIPs that screen beside the house's own, with their heads; their names are their models' names.
CLIPS = [Path(folder) for folder in env.words("VAGLIO_CLIPS")]
LEASE_SECONDS = env.seconds("LEASE_SECONDS", 30, least=0.2)
# Without a step for so long, a draw is taken for hung; so are classifiers that do not answer. Loading a model counts
# as one step.
MOST_STEP_SECONDS = env.seconds("MOST_STEP_SECONDS", 600, least=1)
# How long a worker draws or screens before it looks up, so that it can be asked to stop.
SHIFT_SECONDS = env.seconds("SHIFT_SECONDS", 20)
SWEEP_SECONDS = env.seconds("SWEEP_SECONDS", 5, least=0.05)
MOST_ATTEMPTS = env.integer("MOST_ATTEMPTS", 3, least=1)
# Batches in a row that the loaded model may be preferred over the next person in turn.
AFFINITY_TURNS = env.integer("AFFINITY_TURNS", 1)
MOST_OUTSTANDING_JOBS = env.integer("MOST_OUTSTANDING_JOBS", 200, least=1)
# Prompts of one person that may be refused outright within an hour.
MOST_REFUSALS_AN_HOUR = env.integer("MOST_REFUSALS_AN_HOUR", 60, least=1)
# Streams and waiting calls of one person that one web process serves at a time, and how long a stream lasts.
MOST_STREAMS = env.integer("MOST_STREAMS", 50, least=1)
STREAM_SECONDS = env.seconds("STREAM_SECONDS", 300, least=1)
# How long a request waits for the screening process to judge its prompt.
INTAKE_WAIT_SECONDS = env.seconds("INTAKE_WAIT_SECONDS", 0.3)
# How long a waiting API call waits for its pictures.
API_WAIT_SECONDS = env.seconds("API_WAIT_SECONDS", 300)
# How long POST /v1/verify waits for its answer.
VERIFY_WAIT_SECONDS = env.seconds("VERIFY_WAIT_SECONDS", 20)

# Screening
CLASSIFIERS = env.choice("VAGLIO_CLASSIFIERS", "house", {"house", "fake"})
_folders = env.text("VAGLIO_POLICIES", str(ROOT / "moderation" / "policies"))
POLICIES = [Path(folder) for folder in _folders.split(os.pathsep)]
# Models on trial, by the names that thresholds have: what they say is written down and moves nothing.
SHADOW_CLASSIFIERS = env.words("SHADOW_CLASSIFIERS")
# When the oldest pending case is older, intake answers 503 instead of piling up.
MOST_PENDING_SECONDS = env.seconds("MOST_PENDING_SECONDS", 600, least=1)
# Files of one person that are looked at within an hour, and how many days their pixels are kept (docs/retention.md).
MOST_UPLOADS_AN_HOUR = env.integer("MOST_UPLOADS_AN_HOUR", 120, least=1)
# Files that one person, or one address where nobody is signed in, may ask about within an hour on the verify page.
MOST_INQUIRIES_AN_HOUR = env.integer("MOST_INQUIRIES_AN_HOUR", 30, least=1)
# Calls of one person to /v1/moderations within a minute.
MOST_MODERATIONS_A_MINUTE = env.integer("MOST_MODERATIONS_A_MINUTE", 60, least=1)
UPLOAD_DAYS = env.integer("UPLOAD_DAYS", 30, least=1)
# The keys that released files are signed with, in PEM: a chain with ours first, its key, and the root. Without them the
# house makes its own in the data folder.
C2PA_CHAIN = env.text("C2PA_CHAIN", "")
C2PA_KEY = env.text("C2PA_KEY", "")
C2PA_ANCHORS = env.text("C2PA_ANCHORS", "")
# What is kept of protected persons' faces is sealed with the first of these keys; all of them open. Without them the
# house makes its own in the data folder.
REGISTRY_KEYS = env.text("REGISTRY_KEYS", "").replace(",", " ").split()
# Secrets that the invisible watermark is derived from, with commas between: the first marks, all are looked for.
# Without any it is SECRET_KEY, which then cannot be changed without losing the marks of what was released.
WATERMARK_KEYS = env.words("WATERMARK_KEYS")
# Of what the machine releases, such shares are looked at again by a person: of all of it, and of what nearly asked.
AUDIT_SHARE = env.share("AUDIT_SHARE", 0.01)
NEAR_MISS_SHARE = env.share("NEAR_MISS_SHARE", 0.1)
REVIEW_DEADLINE_SECONDS = env.seconds("REVIEW_DEADLINE_SECONDS", 3 * 24 * 3600, least=1)

# Libraries say warnings; our own rooms and the processes around them say what they do.
SPEAKING = ("celery", "worker", "relay", "sweep", "generation", "moderation", "billing", "journal", "uvicorn.error")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "filters": {"brief": {"()": "config.logs.Brief"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["brief"]}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        **{name: {"level": env.text("LOG_LEVEL", "INFO")} for name in SPEAKING},
        # A line for each wake-up says nothing: it carries no id.
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
    },
}
