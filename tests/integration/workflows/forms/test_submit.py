"""A posted form runs its step in the request, moves the run, and is answered with where the run is."""

from datetime import timedelta
from typing import Literal

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404
from pydantic import BaseModel
from rest_framework import serializers
from rest_framework.test import APIClient

from django_ai.automation.workflows.core import complete, engine, fail, goto, sleep, step, wait, workflow
from django_ai.automation.workflows.exceptions import DeclarationError
from django_ai.automation.workflows.models import WorkflowRun
from django_ai.automation.workflows.statezero_action import statezero_action

from .conftest import GOOD, Forms


def waiting(name, workflows, **context):
    run = engine.start(name, **context)
    workflows.drain()
    run.refresh_from_db()
    return run


def test_a_post_completes_the_run_and_leaves_one_row_of_history(forms, review):
    response = forms.post("submit_review", review, **GOOD)
    assert response.status_code == 200, response.data
    assert response.json() == {
        "workflow_run_id": review.pk,
        "status": "completed",
        "current_step": "await_review",
        "step_type": "automated",
        "progress": 1.0,
        "completion_display": {"display_title": "Review Complete", "display_subtitle": None},
        "waiting_display": {},
        "step_display": {},
    }
    review.refresh_from_db()
    assert review.data == {"reviewer_notes": "Approved", "priority": "high"}
    history = review.step_executions.values_list("step_name", "status", "attempts")
    assert list(history) == [("start_review", "completed", 1), ("await_review", "completed", 1)]


def test_what_follows_the_form_goes_to_the_workers(forms, workflows):
    @workflow("then_work")
    class ThenWork:
        class Context(BaseModel):
            done: list[str] = []

        @statezero_action()
        @step(start=True)
        def ask(self):
            self.context.done.append("ask")
            return goto(self.work, progress=0.5)

        @step()
        def work(self):
            self.context.done.append("work")
            return complete()

    run = waiting("then_work", workflows)
    answer = forms.post("ask", run).json()
    assert (answer["status"], answer["current_step"], answer["progress"]) == ("running", "work", 0.5)
    workflows.drain()
    run.refresh_from_db()
    assert (run.status, run.data["done"]) == ("completed", ["ask", "work"])


def test_invalid_data_are_refused_on_their_fields_and_the_run_waits(forms, review):
    response = forms.post("submit_review", review, reviewer_notes="x", priority="urgent")
    assert response.status_code == 400
    assert response.json() == {
        "status": 400,
        "type": "ValidationError",
        "detail": {"priority": [{"message": '"urgent" is not a valid choice.', "code": "validation_error"}]},
    }
    assert forms.post("submit_review", review, **GOOD).status_code == 200


def test_a_run_without_id_is_refused_on_that_field(forms, review):
    response = forms.client.post(f"{forms.base}actions/submit_review/", GOOD, format="json")
    assert response.status_code == 400
    assert list(response.json()["detail"]) == ["workflow_run_id"]


def test_a_second_post_is_told_where_the_run_is(forms, review):
    forms.post("submit_review", review, **GOOD)
    response = forms.post("submit_review", review, **GOOD)
    assert response.status_code == 409
    assert response.json()["type"] == "FormNotOpen"
    assert "is completed at step 'await_review'" in response.json()["detail"]
    assert review.step_executions.count() == 2


def test_a_run_of_another_workflow_or_at_another_step_does_not_accept_the_form(forms, review, workflows):
    @workflow("two_forms")
    class TwoForms:
        @statezero_action()
        @step(start=True)
        def first_form(self):
            return goto(self.second_form)

        @statezero_action()
        @step()
        def second_form(self):
            return complete()

    run = waiting("two_forms", workflows)
    assert forms.post("second_form", run).status_code == 409
    assert forms.post("submit_review", run, **GOOD).status_code == 409
    assert forms.post("first_form", run).status_code == 200
    assert forms.post("first_form", run).status_code == 409
    assert forms.post("second_form", run).status_code == 200


def test_no_such_run_and_no_such_action_are_not_found(forms, review):
    assert forms.post("submit_review", 10**18, **GOOD).status_code == 404
    assert forms.post("submit_review", 10**30, **GOOD).status_code == 404
    missing = forms.post("nonsense", review)
    assert (missing.status_code, missing.json()["type"]) == (404, "NotFound")


@pytest.fixture
def fragile(workflows):
    """A form whose step first writes, then does as the posted ``mood`` says."""

    @workflow("fragile")
    class Fragile:
        class Context(BaseModel):
            mood: str = ""

        @statezero_action(name="fragile")
        @step(start=True)
        def feel(self, mood: str):
            self.context.mood = mood
            get_user_model().objects.create(username=mood)
            return MOODS[mood]()

    return waiting("fragile", workflows)


class Mood(BaseModel):
    mood: Literal["good"]


def raising(error):
    def do():
        raise error

    return do


MOODS = {
    "good": complete,
    "none": lambda: None,
    "lost": lambda: goto("nowhere"),
    "bug": raising(ZeroDivisionError("secret 1/0")),
    "invalid": raising(ValidationError({"mood": "too sad"})),
    "drf": raising(serializers.ValidationError({"mood": ["too sad"]})),
    "pydantic": lambda: Mood(mood="sad"),
    "denied": raising(PermissionDenied()),
    "missing": raising(Http404()),
    "failed": lambda: fail("so sad"),
}


@pytest.mark.parametrize(
    ("mood", "status", "kind"),
    [
        ("invalid", 400, "ValidationError"),
        ("drf", 400, "ValidationError"),
        ("pydantic", 400, "ValidationError"),
        ("denied", 403, "PermissionDenied"),
        ("missing", 404, "NotFound"),
        ("bug", 500, "FormFailed"),
        ("none", 500, "FormFailed"),
        ("lost", 500, "FormFailed"),
    ],
)
def test_an_exception_rolls_back_reaches_the_caller_and_leaves_the_run_waiting(forms, fragile, mood, status, kind):
    before = WorkflowRun.objects.values().get()
    response = forms.post("fragile", fragile, mood=mood)
    assert (response.status_code, response.json()["status"], response.json()["type"]) == (status, status, kind)
    assert get_user_model().objects.count() == 0
    after = WorkflowRun.objects.values().get()
    traces = ("attempt", "failures", "visit_started_at") if status == 500 else ()
    assert {key for key in after if after[key] != before[key]} == set(traces)
    assert not fragile.step_executions.exists()
    assert forms.post("fragile", fragile, mood="good").status_code == 200
    assert get_user_model().objects.count() == 1


@pytest.mark.parametrize(
    ("mood", "message"), [("invalid", "too sad"), ("drf", "too sad"), ("pydantic", "Input should be 'good'")]
)
def test_a_validation_error_of_the_step_is_shown_at_its_field(forms, fragile, mood, message):
    detail = forms.post("fragile", fragile, mood=mood).json()["detail"]
    assert detail == {"mood": [{"message": message, "code": "validation_error"}]}


def test_a_server_that_is_stopped_in_the_middle_leaves_the_form_open(fragile, monkeypatch, ctrl_c):
    monkeypatch.setitem(MOODS, "stopped", ctrl_c)
    ours = Forms("/forms/", APIClient())
    with pytest.raises(KeyboardInterrupt):
        ours.post("fragile", fragile, mood="stopped")
    assert ours.post("fragile", fragile, mood="good").status_code == 200


def test_the_words_of_a_bug_are_for_developers_alone(forms, fragile, settings):
    said = forms.post("fragile", fragile, mood="bug").json()["detail"]
    assert "nothing was saved" in said
    assert "secret" not in said
    settings.DEBUG = True
    assert "ZeroDivisionError: secret 1/0" in forms.post("fragile", fragile, mood="bug").json()["detail"]


def test_history_keeps_the_bugs_that_a_form_met_on_its_way(forms, fragile):
    for mood in ("bug", "invalid", "none", "good"):
        forms.post("fragile", fragile, mood=mood)
    execution = fragile.step_executions.get()
    assert execution.attempts == 3
    assert [failure["attempt"] for failure in execution.failures] == [1, 2]
    assert execution.failures[0]["error"] == "ZeroDivisionError: secret 1/0"


def test_a_form_that_fails_for_ever_does_not_fill_the_row(forms, fragile):
    for _ in range(15):
        forms.post("fragile", fragile, mood="bug")
    fragile.refresh_from_db()
    assert [failure["attempt"] for failure in fragile.failures] == list(range(6, 16))


def test_a_failed_run_that_is_retried_shows_its_form_again(forms, fragile):
    assert forms.post("fragile", fragile, mood="failed").json()["status"] == "failed"
    engine.retry(fragile, force=True)
    assert forms.post("fragile", fragile, mood="good").status_code == 200


def test_a_form_may_be_followed_by_any_command(forms, workflows):
    @workflow("commanding")
    class Commanding:
        class Context(BaseModel):
            said: str = ""

        @statezero_action()
        @step(start=True)
        def rest(self):
            return sleep(timedelta(hours=1), then=self.ask)

        @statezero_action()
        @step()
        def ask(self):
            return wait.for_signal("said", then=self.finish)

        @step()
        def finish(self):
            return complete()

    run = waiting("commanding", workflows)
    answer = forms.post("rest", run).json()
    assert (answer["status"], answer["step_type"]) == ("suspended", "waiting")
    assert forms.post("rest", run).status_code == 409
    workflows.advance(timedelta(hours=1))
    engine.signal("said", {"said": "kept while the form was open"}, run=run)
    workflows.drain()
    answer = forms.post("ask", run).json()
    assert (answer["status"], answer["step_type"]) == ("suspended", "waiting")
    workflows.drain()
    run.refresh_from_db()
    assert (run.status, run.data["said"]) == ("completed", "kept while the form was open")


def test_a_step_that_asks_for_it_receives_the_request_and_never_the_runs_id(forms, workflows):
    seen = {}

    @workflow("curious")
    class Curious:
        @statezero_action()
        @step(start=True)
        def look(self, word: str, request=None, **rest):
            seen.update(word=word, method=request.method, rest=rest)
            return complete()

    run = waiting("curious", workflows)
    assert forms.post("look", run, word="hello").status_code == 200
    assert seen == {"word": "hello", "method": "POST", "rest": {}}


def test_the_decorator_works_below_step_too_and_takes_the_steps_name(forms, workflows):
    @workflow("below")
    class Below:
        @step(start=True)
        @statezero_action()
        def asked_below(self, number: int):
            return complete()

    assert forms.post("asked_below", waiting("below", workflows), number=3).status_code == 200


def test_a_step_outside_a_transaction_moves_under_the_same_rules(forms, workflows):
    @workflow("outside")
    class Outside:
        @statezero_action()
        @step(start=True, atomic=False)
        def call_out(self, fails: bool):
            if fails:
                raise RuntimeError
            return complete()

    run = waiting("outside", workflows)
    assert forms.post("call_out", run, fails=True).status_code == 500
    assert forms.post("call_out", run, fails=False).status_code == 200
    assert forms.post("call_out", run, fails=False).status_code == 409


def test_a_response_serializer_picks_from_display_and_context(forms, workflows):
    class Answer(serializers.Serializer):
        status = serializers.CharField()
        word = serializers.CharField()

    class Impossible(serializers.Serializer):
        status = serializers.IntegerField()

    @workflow("answering")
    class Answering:
        class Context(BaseModel):
            word: str = ""

        @statezero_action(name="fitting", response_serializer=Answer)
        @step(start=True)
        def first(self, word: str):
            self.context.word = word
            return goto(self.second)

        @statezero_action(name="impossible", response_serializer=Impossible)
        @step()
        def second(self):
            return complete()

    run = waiting("answering", workflows)
    assert forms.post("fitting", run, word="yes").json() == {"status": "running", "word": "yes"}
    assert forms.post("impossible", run).status_code == 500
    run.refresh_from_db()
    assert run.status == "suspended", "an answer that cannot be given undoes the step"


def test_a_cancelled_run_takes_no_form(forms, review):
    engine.cancel(review)
    response = forms.post("submit_review", review, **GOOD)
    assert response.status_code == 409
    assert "cancelled" in response.json()["detail"]


def test_forgotten_parentheses_are_a_fault_of_the_declaration():
    with pytest.raises(DeclarationError, match="parentheses"):

        @statezero_action
        def bare(self):
            pass


def test_an_action_that_is_no_step_is_a_fault_of_the_declaration():
    with pytest.raises(DeclarationError, match="no @step"):

        @workflow("not_a_step")
        class NotAStep:
            @statezero_action()
            def ask(self):
                pass
