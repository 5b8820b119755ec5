"""The guide's section "Error Handling & Retries"."""

from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest

from django_ai.automation.workflows.core import engine

from .surroundings import declare, reloaded, run_code

WORKFLOW_LEVEL = """\
from django_ai.automation.workflows.core import Retry

@workflow("api_integration", default_retry=Retry(
    max_attempts=5,
    base_delay=timedelta(seconds=2),
    max_delay=timedelta(minutes=5),
    backoff_factor=2.0
))
class ApiIntegrationWorkflow:
    pass
"""

STEP_LEVEL = """\
@step(retry=Retry(max_attempts=10, base_delay=timedelta(seconds=1)))
def call_external_api(self):
    ctx = get_context()
    response = make_api_call(ctx.endpoint)
    if response.status_code != 200:
        raise Exception(f"API call failed: {response.status_code}")
    return goto(self.next_step)
"""


def test_the_workflows_policy_holds_for_its_steps(workflows):
    always_failing = """
    @step(start=True)
    def call(self):
        calls.append(timezone.now())
        raise OSError("away")
"""
    calls = []
    run_code(WORKFLOW_LEVEL + always_failing, calls=calls)
    run = engine.start("api_integration")
    workflows.advance(timedelta(minutes=10))
    run = reloaded(run)
    assert (run.status, run.error) == ("failed", "OSError: away")
    pauses = [int((after - before).total_seconds()) for before, after in pairwise(calls)]
    assert pauses == [2, 4, 8, 16]
    execution = run.step_executions.get()
    assert (execution.attempts, len(execution.failures)) == (5, 5)


def test_no_pause_is_longer_than_the_policy_allows():
    retry = run_code(WORKFLOW_LEVEL)["ApiIntegrationWorkflow"].__workflow_definition__.retry
    assert retry.delay(8) == timedelta(seconds=256)
    assert retry.delay(9) == retry.delay(100_000) == timedelta(minutes=5)


CALL = """
class Context(BaseModel):
    endpoint: str

@step(start=True)
def begin(self):
    return goto(self.call_external_api)

@step()
def next_step(self):
    return complete()
"""


@pytest.mark.parametrize(("failures", "status", "attempts"), [(9, "completed", 10), (10, "failed", 10)])
def test_a_steps_own_policy_overrides_the_workflows(workflows, failures, status, attempts):
    answers = [503] * failures + [200]
    called = []

    def make_api_call(endpoint):
        called.append(endpoint)
        return SimpleNamespace(status_code=answers[len(called) - 1])

    run = engine.start(declare("api", CALL, STEP_LEVEL, make_api_call=make_api_call), endpoint="/pay")
    workflows.advance(timedelta(hours=1))
    run = reloaded(run)
    assert run.status == status
    assert called == ["/pay"] * attempts
    execution = run.step_executions.get(step_name="call_external_api")
    assert (execution.status, execution.attempts) == (status, attempts)
    assert execution.error == ("" if status == "completed" else "Exception: API call failed: 503")
