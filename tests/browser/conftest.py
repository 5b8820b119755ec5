"""A real browser on a real server: Chromium, found on the machine, or the tests are left out."""

import os
import shutil
from importlib.util import find_spec

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.test import Client

from django_ai.automation import broker
from django_ai.automation.workflows.authoring.registry import registry
from django_ai.automation.workflows.runtime import dispatch, worker

# Without Playwright, which not every supported Python has, these tests are left out.
collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-background-networking"]

# In milliseconds. What has not come by then will not come: a busy machine has time enough.
PATIENCE = 60_000

TASKS = {dispatch.EXECUTE: worker.execute, dispatch.WAKE: worker.wake, dispatch.DELIVER: worker.deliver}


# Not for the whole session: its loop would be in the way of every later test that runs one.
@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import expect, sync_playwright

    if not CHROMIUM:
        pytest.skip("for want of Chromium")
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    # Playwright's loop runs in this thread, which makes Django take it for an asynchronous one.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(autouse=True)
def workers_in_place(monkeypatch):
    """What follows a form runs at once, as if a worker had been idle."""

    def publish(task, args=(), countdown=0, **options):
        if not countdown:
            TASKS[task](*args)

    monkeypatch.setattr(broker, "publisher", publish)


@pytest.fixture(autouse=True)
def forget_declared_workflows():
    before = set(map(id, registry))
    yield
    for definition in list(registry):
        if id(definition) not in before:
            registry.remove(definition)


@pytest.fixture
def owner(transactional_db):
    return get_user_model().objects.create_user("owner")


@pytest.fixture
def visit(browser, live_server, owner, settings):
    """Return a function that opens a run's page in a tab of its own, logged in as the owner."""
    settings.ROOT_URLCONF = "tests.browser.urls"
    contexts, complaints = [], []

    def open_tab(run, query="", **options):
        client = Client()
        client.force_login(owner)
        context = browser.new_context(**{"viewport": {"width": 900, "height": 900}, **options})
        contexts.append(context)
        cookie = client.cookies[django_settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": "sessionid", "value": cookie, "url": live_server.url}])
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: "Content Security" in said.text and complaints.append(said.text))
        page.goto(f"{live_server.url}/page/{run.pk}/{query}")
        return page

    yield open_tab
    for context in contexts:
        context.close()
    assert complaints == []
