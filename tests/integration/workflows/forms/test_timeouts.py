"""A form may be open for a time only; of its end and a post, exactly one wins."""

from datetime import timedelta

import pytest
from pydantic import BaseModel

from django_ai.automation.workflows.core import complete, engine, goto, step, workflow
from django_ai.automation.workflows.exceptions import InvalidCommand
from django_ai.automation.workflows.models import WorkflowRun
from django_ai.automation.workflows.runtime import scheduler
from django_ai.automation.workflows.statezero_action import statezero_action

WEEK = timedelta(days=7)


@pytest.fixture
def invitation(workflows):
    """A run that asks for an answer within a week."""

    @workflow("invitation")
    class Invitation:
        class Context(BaseModel):
            comes: bool = False
            seen: list[str] = []

        @statezero_action(name="answer_invitation", timeout=WEEK, on_timeout="give_up")
        @step(start=True)
        def answer(self, comes: bool, during: str = ""):
            self.context.comes = comes
            if during == "the week ends":
                self.context.seen.append(str(scheduler.wake_due()))
            if during == "it breaks":
                raise RuntimeError
            return complete()

        @step()
        def give_up(self):
            return complete(display_title="Too late")

    return engine.start(Invitation)


def test_a_form_that_nobody_posts_leads_to_its_on_timeout_step(invitation, workflows, forms):
    workflows.advance(WEEK)
    invitation.refresh_from_db()
    assert (invitation.status, invitation.completion_display["display_title"]) == ("completed", "Too late")
    assert forms.post("answer_invitation", invitation, comes=True).status_code == 409


def test_a_form_that_is_posted_in_time_never_times_out(invitation, workflows, forms):
    workflows.advance(WEEK - timedelta(seconds=1))
    assert forms.post("answer_invitation", invitation, comes=True).status_code == 200
    workflows.advance(WEEK)
    invitation.refresh_from_db()
    assert (invitation.data["comes"], invitation.completion_display["display_title"]) == (True, None)


def begun_in_time(run):
    """Make the week of a run be over, as it is when a post began at its last moment."""
    run.suspension.due_at = run.suspension.created_at
    run.suspension.save()


def test_a_post_that_began_in_time_is_carried_out(invitation, workflows, forms):
    begun_in_time(invitation)
    assert forms.post("answer_invitation", invitation, comes=True, during="the week ends").status_code == 200
    workflows.drain()
    invitation.refresh_from_db()
    assert invitation.data == {"comes": True, "seen": ["0"]}
    assert invitation.step_executions.count() == 1


def test_a_post_that_broke_does_not_keep_the_form_open(invitation, workflows, forms):
    begun_in_time(invitation)
    assert forms.post("answer_invitation", invitation, comes=True, during="it breaks").status_code == 500
    workflows.drain()
    invitation.refresh_from_db()
    assert invitation.completion_display["display_title"] == "Too late"


def test_a_process_that_died_with_a_form_does_not_keep_it_open(invitation, workflows):
    dead_until = invitation.suspension.due_at + timedelta(seconds=30)
    WorkflowRun.objects.filter(pk=invitation.pk).update(attempt=1, lease_until=dead_until)
    workflows.advance(WEEK)
    invitation.refresh_from_db()
    assert invitation.status == "suspended"
    workflows.advance(timedelta(seconds=31))
    invitation.refresh_from_db()
    assert invitation.completion_display["display_title"] == "Too late"


def test_without_an_on_timeout_step_the_run_fails_and_says_why(workflows):
    @workflow("impatient")
    class Impatient:
        @statezero_action(timeout=60)
        @step(start=True)
        def ask(self):
            return complete()

    run = engine.start(Impatient)
    workflows.advance(timedelta(minutes=1))
    run.refresh_from_db()
    assert (run.status, run.error) == (
        "failed",
        "Timed out: form 'ask' did not come within 0:01:00, and the wait names no on_timeout step.",
    )


def test_a_form_that_is_come_back_to_is_open_for_its_whole_time_again(workflows, forms):
    @workflow("twice_asked")
    class TwiceAsked:
        @statezero_action(timeout=60)
        @step(start=True)
        def ask(self):
            return goto(self.ask)

    run = engine.start(TwiceAsked)
    workflows.advance(timedelta(seconds=59))
    assert forms.post("ask", run).status_code == 200
    workflows.advance(timedelta(seconds=59))
    run.refresh_from_db()
    assert run.status == "suspended"


@pytest.mark.parametrize("options", [{"timeout": -1}, {"timeout": "soon"}, {"on_timeout": 7}])
def test_a_time_out_that_makes_no_sense_is_refused(options):
    with pytest.raises(InvalidCommand):
        statezero_action(**options)
