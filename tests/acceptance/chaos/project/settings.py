"""Settings as production has them; which servers, and how the engine behaves, the environment says."""

import json
import os

from tests.settings_databases import database

SECRET_KEY = "only-for-tests"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "rest_framework",
    "django_ai.automation.events",
    "django_ai.automation.workflows",
    "tests.acceptance.chaos.project",
]

DATABASES = {"default": {**database(os.environ.get("DATABASE_URL")), "CONN_MAX_AGE": 600}}

DJANGO_AI = json.loads(os.environ.get("CHAOS_ENGINE", "{}"))

CELERY_BROKER_URL = os.environ.get("REDIS_URL")
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 5, "socket_connect_timeout": 2, "visibility_timeout": 3600}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_DB_REUSE_MAX = 200
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
