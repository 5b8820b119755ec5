"""Errors and hints of system checks say which page explains them."""

import inspect
import traceback

import pytest
from django.core import checks

from django_ai.automation import documentation
from django_ai.automation.workflows import exceptions
from django_ai.automation.workflows.exceptions import IllegalMove, WorkflowError


@pytest.fixture
def published(monkeypatch):
    """The documentation has an address of its own."""
    monkeypatch.setattr(documentation, "ADDRESS", "https://docs.example.com/{page}.html#{anchor}")


def ours():
    every = checks.registry.registry.get_checks(include_deployment_checks=True)
    return [check for check in every if check.__module__.startswith("django_ai.")]


def test_every_check_of_the_package_is_registered_with_its_link():
    assert len(ours()) >= 6
    assert [check for check in ours() if inspect.unwrap(check) is check] == []


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(("hint", "begins"), [("Do this.", "Do this. More: "), (None, "More: ")])
def test_a_hint_ends_with_the_place_that_explains_it(hint, begins):
    check = documentation.explained(lambda: [checks.Error("wrong", hint=hint, id="django_ai_events.E001")])
    [message] = check()
    assert message.hint == f"{begins}https://docs.example.com/checks.html#django-ai-events-e001"


def test_a_check_without_complaints_stays_silent():
    assert documentation.explained(list)() == []


@pytest.mark.usefixtures("published")
def test_a_traceback_ends_with_the_place_and_the_text_does_not_have_it():
    error = IllegalMove("no")
    place = "https://docs.example.com/reference/errors.html#django_ai.automation.workflows.exceptions.IllegalMove"
    assert traceback.format_exception(error)[-1] == f"More: {place}\n"
    assert (str(error), exceptions.describe(error)) == ("no", "no")


@pytest.mark.usefixtures("published")
def test_an_error_of_a_project_leads_to_the_one_that_it_is_made_of():
    class OfAProject(WorkflowError):
        """Something of the project's own."""

    assert OfAProject().__notes__[0].endswith("#django_ai.automation.workflows.exceptions.WorkflowError")
