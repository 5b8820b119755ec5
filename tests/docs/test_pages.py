"""The code of every page runs as it is printed, in its order, and every command that is shown is there."""

import re
from contextlib import contextmanager, suppress
from unittest import SkipTest

import pytest

pytest.importorskip("sybil")

from django.test.utils import isolate_apps

from django_ai.automation.events.subscriptions import subscriptions
from tests.celery import app
from tests.docs import DOCS, ROOT, commands, pages
from tests.docs.languages import EVALUATORS


@pytest.mark.django_db
@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name_of)
def test_the_blocks_of_the_page_work(page, request, settings, workflows, monkeypatch):
    settings.ROOT_URLCONF = "tests.docs.urls"
    monkeypatch.setattr(subscriptions, "_by_key", dict(subscriptions._by_key))
    document = pages.parse(page)
    document.namespace.update(__name__=f"tests.app.{page.stem}", request=request)
    with isolate_apps("tests.app"), the_celery_app_of_the_suite():
        for example in document.examples():
            with suppress(SkipTest):  # the page says why it cannot run here
                example.evaluate()


@contextmanager
def the_celery_app_of_the_suite():
    """Make it the current one again, for a page may show how a project makes its own."""
    try:
        yield
    finally:
        app.set_current()


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name_of)
def test_each_block_says_what_language_it_is_in(page):
    assert pages.languages_of(page) <= EVALUATORS.keys()


@pytest.mark.parametrize("page", [ROOT / name for name in ("README.md", "CONTRIBUTING.md")], ids=pages.name_of)
def test_what_the_page_links_to_is_there(page):
    text = page.read_text()
    targets = [*re.findall(r"\]\(([^)#]+)", text), *re.findall(r'(?:src|srcset)="([^"]+)"', text)]
    assert targets
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (ROOT / target).exists()] == []


def test_the_tests_that_the_guarantees_name_are_there():
    named = re.findall(r"`(tests/[^`]+)`", (DOCS / "guarantees.md").read_text())
    assert len(named) > 7
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    "command",
    [
        "python manage.py chekc",
        "python manage.py events reconcyle",
        "celery -A project werker",
        "celery -A project worker --concurency 2",
        'pip install "django-ai[rediss]"',
        "make tea",
        "python docs/no_such_script.py",
        "rm -rf /",
    ],
)
def test_a_command_that_is_not_there_is_found(command):
    with pytest.raises(commands.Unfit):
        commands.check(command)
