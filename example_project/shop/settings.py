"""Settings of the example shop, which needs no server: DATABASE_URL and REDIS_URL name yours."""

import os
from datetime import timedelta
from pathlib import Path

import dj_database_url

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("SECRET_KEY", "good-enough-for-an-example")
DEBUG = True
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_ai.automation.events",
    "django_ai.automation.workflows",
    "shop",
    "orders",
    "payment",
    "shipment",
    "reminders",
    "appointments",
    "registration",
    "desk",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# The database.
DATABASES = {"default": dj_database_url.config(default=f"sqlite:///{BASE_DIR / 'db.sqlite3'}")}
DATABASE_OPTIONS: dict[str, dict[str, object]] = {
    # With these SQLite takes several writers at once; without them they lose their work to "database is locked".
    "django.db.backends.sqlite3": {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    },
    # With this PostgreSQL plans the engine's statements once for each connection.
    "django.db.backends.postgresql": {"prepare_threshold": 5},
}
DATABASES["default"]["OPTIONS"] = DATABASE_OPTIONS.get(DATABASES["default"]["ENGINE"], {})

# The broker: Redis, or none but this process (`manage.py runworkflows`).
CELERY_BROKER_URL = os.environ.get("REDIS_URL") or "memory://"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {"polling_interval": 0.02}
    if CELERY_BROKER_URL.startswith("memory")
    else {"socket_timeout": 5, "socket_connect_timeout": 2, "visibility_timeout": 3600}
)

EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
DEFAULT_FROM_EMAIL = "shop@example.com"

# How long a day of the shop lasts. The demonstration has no time for real ones.
SHOP_DAY = timedelta(seconds=float(os.environ.get("SHOP_DAY_SECONDS") or 86_400))
# How long the link of an e-mail holds.
SHOP_LINK_LIFETIME = timedelta(seconds=float(os.environ.get("SHOP_LINK_SECONDS") or 86_400))
# How long the payment gateway thinks, in seconds.
SHOP_GATEWAY_SECONDS = float(os.environ.get("SHOP_GATEWAY_SECONDS") or 0.2)
# Orders of this much and more wait for the manager's approval.
SHOP_APPROVAL_FROM = 1000
