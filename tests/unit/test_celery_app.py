"""Messages go to the broker of the project's Celery app, from every thread."""

import subprocess
import sys

import pytest
from celery import current_app

from django_ai.automation import broker
from tests.celery import app

IN_A_THREAD = """
import threading, django
from celery import current_app
{prepare}
django.setup()
from django_ai.automation.broker import check_celery
found = []
thread = threading.Thread(target=lambda: found.extend([current_app.main, *check_celery(None)]))
thread.start()
thread.join()
print(*found)
"""


def in_a_thread(prepare, monkeypatch, **environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code = IN_A_THREAD.format(prepare=prepare)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_the_threads_of_a_web_server_have_the_projects_celery_app(monkeypatch):
    output = in_a_thread("import tests.celery", monkeypatch, DJANGO_SETTINGS_MODULE="tests.settings")
    assert output.splitlines()[-1] == "tests"


def test_a_process_that_never_imported_the_app_is_warned(monkeypatch):
    apps = ["django_ai.automation.events", "django_ai.automation.workflows"]
    bare = f"from django.conf import settings; settings.configure(INSTALLED_APPS={apps})"
    output = in_a_thread(bare, monkeypatch)
    assert "django_ai.W001" in output
    assert "from .celery import app as celery_app" in output


@pytest.mark.parametrize(("main", "url"), [("shop", None), ("default", "redis://"), (None, "redis://")])
def test_an_app_of_the_project_or_a_broker_is_enough(monkeypatch, main, url):
    class App:
        class conf:  # noqa: N801 - as Celery calls it
            broker_url = url

    App.main = main
    monkeypatch.setattr(broker, "current_app", App)
    assert broker.check_celery(None) == []


def test_no_test_that_is_collected_leaves_the_suite_with_the_celery_app_of_another_project():
    assert current_app._get_current_object() is app
