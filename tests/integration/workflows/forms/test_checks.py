"""What is wrong with a form is found by `manage.py check`."""

import pytest
from django.contrib.auth.models import Group
from rest_framework import serializers
from rest_framework.permissions import IsAdminUser

from django_ai.automation.workflows.authoring.registry import registry
from django_ai.automation.workflows.core import complete, step, workflow
from django_ai.automation.workflows.http.checks import check_actions, check_open_forms
from django_ai.automation.workflows.metadata import FieldDisplayConfig, StepDisplayMetadata
from django_ai.automation.workflows.permissions import OwnerOrStaff
from django_ai.automation.workflows.statezero_action import statezero_action


@pytest.fixture(autouse=True)
def no_other_workflows():
    """Hide the workflows that other modules of tests declare for good: the checks are about all that there are."""
    others = list(registry)
    for definition in others:
        registry.remove(definition)
    yield
    for definition in others:
        registry.register(definition)


class EmptySerializer(serializers.Serializer):
    pass


def declare(name, action="asked", base=object, **options):
    class Form(base):
        @statezero_action(name=action, **options)
        @step(start=True)
        def ask(self, word: str, workflow_run_id, request, more: int = 1):
            return complete()

    return workflow(name, version=options.pop("version", "1"))(Form)


def faults(check=check_actions):
    return [(message.id, message.msg) for message in check(None)]


def test_forms_that_fit_are_fine():
    declare("one", "first")
    declare("two", "second")
    assert faults() == []


def test_two_workflows_must_not_share_an_action():
    declare("one")
    declare("two")
    assert faults() == [("django_ai.E041", "Two workflows have an action 'asked': Form and Form.")]


def test_two_steps_of_one_version_must_not_share_an_action():
    @workflow("twice")
    class Twice:
        @statezero_action(name="asked")
        @step(start=True)
        def first(self):
            return complete()

        @statezero_action(name="asked")
        @step()
        def second(self):
            return complete()

    message = "Two steps of workflow 'twice' have an action 'asked': Twice.first and Twice.second."
    assert faults() == [("django_ai.E041", message)]


def test_versions_of_one_workflow_share_their_actions():
    for version in ("1", "2"):

        @workflow("versioned", version=version)
        class Versioned:
            @statezero_action(name="asked")
            @step(start=True)
            def ask(self):
                return complete()

        Versioned.__qualname__ += version

    assert faults() == []


def test_a_serializer_must_have_what_the_step_needs():
    declare("one", serializer=EmptySerializer)
    [(code, message)] = faults()
    assert code == "django_ai.E042"
    assert "its serializer lacks word, which the step needs" in message


def test_a_filter_of_rows_that_cannot_be_used_is_found():
    for name, filters in (("right", {"name": "a"}), ("none", {"pk__in": []}), ("wrong", {"nam": "a"})):

        @workflow(name)
        class Chosen:
            @statezero_action(
                name=name,
                display=StepDisplayMetadata(
                    field_display_configs=[FieldDisplayConfig("group", filter_queryset=filters)]
                ),
            )
            @step(start=True)
            def choose(self, group: Group):
                return complete()

    [(code, message)] = faults()
    assert code == "django_ai.E042"
    assert "the filter_queryset of 'group' cannot be used: Cannot resolve keyword 'nam'" in message


def test_a_parameter_without_hint_is_found():
    @workflow("unhinted")
    class Unhinted:
        @statezero_action()
        @step(start=True)
        def ask(self, thing):
            return complete()

    assert "no type hint" in faults()[0][1]


def test_a_guarded_form_is_fit_for_production():
    declare("one", base=OwnerOrStaff)
    assert faults(check_open_forms) == []


def test_permissions_of_a_form_leave_its_runs_open_to_readers():
    declare("one", permissions=[IsAdminUser])
    assert faults(check_open_forms) == [
        ("django_ai.W041", "Anybody may read (though not post 'asked' to) the ownerless runs of workflow 'one'.")
    ]


def test_each_version_without_a_hook_is_named():
    declare("one", base=OwnerOrStaff)

    @workflow("one", version="2")
    class Second:
        @step(start=True)
        def first(self):
            return complete()

    [(_, message)] = faults(check_open_forms)
    assert message == "Anybody may read the ownerless runs of workflow 'one' (version '2')."


def test_a_workflow_without_forms_is_warned_of_where_urls_lead_to_its_runs(settings):
    @workflow("formless")
    class Formless:
        @step(start=True)
        def only(self):
            return complete()

    assert faults(check_open_forms) == [
        ("django_ai.W041", "Anybody may read the ownerless runs of workflow 'formless'.")
    ]
    settings.ROOT_URLCONF = "tests.integration.workflows.forms.no_urls"
    assert faults(check_open_forms) == []


def test_a_form_that_anybody_may_post_is_warned_of(settings):
    declare("one")
    assert [code for code, _ in faults(check_open_forms)] == ["django_ai.W041"]
    settings.STATEZERO_VIEW_ACCESS_CLASS = "rest_framework.permissions.IsAuthenticated"
    assert faults(check_open_forms) == []
