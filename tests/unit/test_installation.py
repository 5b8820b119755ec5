"""A project that forgets an app is told which, wherever the first import of its models comes from."""

import subprocess
import sys

import pytest

PROJECT = """
import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
settings.configure(INSTALLED_APPS={apps!r})
try:
    django.setup()
    {first_import}
except ImproperlyConfigured as error:
    print(error)
"""

EVENTS, WORKFLOWS = "django_ai.automation.events", "django_ai.automation.workflows"


@pytest.mark.parametrize(
    ("apps", "first_import", "missing"),
    [
        ([WORKFLOWS], "", EVENTS),
        ([EVENTS], f"import {WORKFLOWS}.core", WORKFLOWS),
        ([], f"import {WORKFLOWS}.core", WORKFLOWS),
    ],
)
def test_a_missing_app_is_named(apps, first_import, missing):
    installed = ["django.contrib.contenttypes", "django.contrib.auth", *apps]
    code = PROJECT.format(apps=installed, first_import=first_import)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Add '{missing}' to INSTALLED_APPS.")
