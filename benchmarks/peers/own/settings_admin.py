"""The project's settings with Django's admin, whose pages are measured with millions of rows."""

from benchmarks.peers.own.settings import *  # noqa: F403
from benchmarks.peers.own.settings import INSTALLED_APPS as PLAIN_APPS

INSTALLED_APPS = [
    *PLAIN_APPS,
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.admin",
]
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "benchmarks.peers.own.urls"
STATIC_URL = "static/"
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
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
