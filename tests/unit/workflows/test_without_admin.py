"""A project without Django's admin loads none of the admin's pages."""

import subprocess
import sys

PROJECT = """
import sys, django
from django.conf import settings
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=[
        "django.contrib.contenttypes", "django.contrib.auth",
        "django_ai.automation.events", "django_ai.automation.workflows",
    ],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
)
django.setup()
from django.template import engines
engines["django"].from_string("{% load workflows %}")  # looks through the tags of all apps
from django_ai.automation.workflows.runtime.triggers import runs_started_by  # leads to no page
print([name for name in sys.modules if name.startswith("django_ai.automation.workflows.admin")])
"""


def test_nothing_of_the_admin_is_loaded():
    done = subprocess.run([sys.executable, "-c", PROJECT], capture_output=True, text=True, timeout=180, check=False)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr
