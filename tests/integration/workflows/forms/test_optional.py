"""Neither Django REST framework nor StateZero is needed by who posts no forms."""

import subprocess
import sys

PROJECT = """
import sys

sys.modules["rest_framework"] = sys.modules["statezero"] = None  # as if they were not installed

import django
from django.conf import settings
from django.core.management import call_command

settings.configure(
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django_ai.automation.events",
        "django_ai.automation.workflows",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    CELERY_BROKER_URL="memory://",
)
django.setup()
call_command("migrate", verbosity=0)

from celery import Celery
Celery(broker="memory://").set_current()

from django_ai.automation.workflows.core import complete, engine, step, workflow
from django_ai.automation.workflows.statezero_action import statezero_action

@workflow("formal")
class Formal:
    @statezero_action()
    @step(start=True)
    def ask(self, word: str):
        return complete()

call_command("check")
print(engine.start(Formal).current_step_display["step_type"])
"""


def test_a_form_may_be_declared_and_a_run_started_without_either():
    done = subprocess.run([sys.executable, "-c", PROJECT], capture_output=True, text=True, timeout=180, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["System check identified no issues (0 silenced).", "action"]
