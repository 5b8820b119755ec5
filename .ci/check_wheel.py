"""Run in an environment that holds the wheel and nothing else: it imports, migrates and passes its checks."""

from importlib.resources import files

import django
from celery import Celery
from django.conf import settings
from django.core.management import call_command

app = Celery("check", broker="memory://")
settings.configure(
    SECRET_KEY="only-for-this-check",
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django_ai.automation.events",
        "django_ai.automation.workflows",
    ],
)
django.setup()

from django_ai.automation.workflows.core import engine, workflow  # noqa: E402

assert files("django_ai").joinpath("py.typed").is_file(), "py.typed is not in the wheel"
assert engine
assert workflow
call_command("migrate", verbosity=0)
call_command("check", fail_level="WARNING")
print("The wheel is complete.")
