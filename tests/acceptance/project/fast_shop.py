"""The example shop's settings, with the engine's own given by the environment."""

import json
import os

from shop.settings import *  # noqa: F403

DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
DJANGO_AI = json.loads(os.environ.get("SHOP_DJANGO_AI", "{}"))
# A prefork worker that keeps its connection to PostgreSQL does twice as much.
CELERY_DB_REUSE_MAX = 200
DATABASES["default"]["CONN_MAX_AGE"] = 600  # noqa: F405
# Under ASGI each request has a thread, and so a connection, of its own: a pool bounds them.
if POOL := int(os.environ.get("SHOP_POOL", "0")):
    DATABASES["default"]["CONN_MAX_AGE"] = 0  # noqa: F405
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {"min_size": 1, "max_size": POOL}  # noqa: F405
INSTALLED_APPS = [*INSTALLED_APPS, "marathon"]  # noqa: F405
