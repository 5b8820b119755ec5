"""Log lines: one for each thing that happens, with the run's fields, at a level that fits."""

import json
import logging
import re
from datetime import timedelta

import pytest

from django_ai.automation.workflows import logs
from django_ai.automation.workflows.core import Retry, complete, engine, fail, step, workflow
from django_ai.automation.workflows.models import WorkflowRun
from django_ai.automation.workflows.runtime import commit, worker

from ..declared import declare_inquiry

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lines(caplog):
    """Log at DEBUG and return what the engine wrote: level, text and fields."""
    caplog.set_level("DEBUG", logger="django_ai")

    def lines(level=logging.DEBUG):
        return [record for record in caplog.records if record.name.startswith("django_ai") and record.levelno >= level]

    return lines


def texts(records):
    return [(record.levelname, re.sub(r"\d+\.\d{3} s|\d{4}-\S+", "…", record.getMessage())) for record in records]


def test_a_run_writes_its_story(workflows, journey, lines):
    run = engine.start(journey)
    workflows.advance(timedelta(seconds=3))
    engine.signal("morning", run=run)
    workflows.drain()
    assert texts(lines()) == [
        ("INFO", f"{run} started."),
        ("DEBUG", f"Step leave of {run} starts, attempt 1."),
        ("WARNING", f"Step leave of {run} failed in attempt 1, runs again at … OSError: no road"),
        ("DEBUG", f"Step leave of {run} failed in attempt 1: OSError: no road"),
        ("DEBUG", f"Step leave of {run} starts, attempt 2."),
        ("DEBUG", f"{run} waits for timer until …"),
        ("DEBUG", f"The wait of {run} for timer ended after …."),
        ("DEBUG", f"Step rest of {run} starts, attempt 1."),
        ("DEBUG", f"{run} waits for signal morning until …"),
        ("DEBUG", f"The wait of {run} for signal morning ended after …."),
        ("DEBUG", f"Step arrive of {run} starts, attempt 1."),
        ("DEBUG", f"Step arrive of {run} completed in …."),
        ("DEBUG", f"Step unpack of {run} starts, attempt 1."),
        ("DEBUG", f"Step unpack of {run} completed in …."),
        ("INFO", f"{run} completed after …."),
    ]
    assert {(record.run_id, record.workflow) for record in lines()} == {(run.pk, "journey")}
    assert [(record.step, record.attempt) for record in lines(logging.WARNING)] == [("leave", 1)]


def test_an_attempt_that_will_be_repeated_writes_one_line_without_a_traceback(workflows, journey, lines):
    engine.start(journey)
    workflows.drain()
    [warning] = lines(logging.WARNING)
    assert warning.exc_info is None
    assert "\n" not in warning.getMessage()


def test_the_last_attempt_writes_one_error_with_the_traceback(workflows, journey, lines):
    run = engine.start(journey, stumbles=2)
    workflows.advance(timedelta(seconds=3))
    [error] = lines(logging.ERROR)
    assert error.getMessage() == f"Step leave of {run} failed for good: OSError: no road"
    assert isinstance(error.exc_info[1], OSError)
    assert (error.step, error.attempt) == ("leave", 2)
    # The failure of the run is the same news.
    assert len(lines(logging.WARNING)) == 2


def test_a_run_that_fails_by_its_own_words_or_its_time_writes_a_warning(workflows, lines):
    @workflow("giving_up", default_retry=Retry(max_attempts=1))
    class GivingUp:
        @step(start=True)
        def begin(self):
            return fail("out of stock")

    failed = engine.start(GivingUp)
    late = engine.start(declare_inquiry(timeout=timedelta(minutes=1)))
    workflows.advance(timedelta(minutes=2))
    late.refresh_from_db()
    assert texts(lines(logging.WARNING)) == [
        ("WARNING", f"{failed} failed at step begin: out of stock"),
        ("WARNING", f"{late} failed at step ask: {late.error}"),
    ]


def test_a_result_that_comes_too_late_names_its_step(lines):
    @workflow("overtaken")
    class Overtaken:
        @step(start=True)
        def begin(self):
            WorkflowRun.objects.update(sequence=7)
            return complete()

    run = engine.start(Overtaken)
    worker.execute(run.pk, run.sequence, run.attempt)
    [line] = lines(logging.WARNING)
    assert "its result was discarded" in line.getMessage()
    assert (line.run_id, line.step, line.attempt) == (run.pk, "begin", 1)


def test_the_filter_gives_a_steps_own_lines_its_fields():
    records, handler = [], logging.Handler()
    handler.emit = records.append
    handler.addFilter(logs.RunFilter())
    mine = logging.getLogger("shop.orders")
    mine.addHandler(handler)

    @workflow("speaking")
    class Speaking:
        @step(start=True)
        def begin(self):
            mine.warning("inside")
            mine.warning("of another", extra=logs.fields(run_id=99))
            return complete()

    run = engine.start(Speaking)
    worker.execute(run.pk, run.sequence, run.attempt)
    mine.warning("outside")
    mine.removeHandler(handler)
    fields = [{name: getattr(record, name) for name in logs.NOTHING} for record in records]
    assert fields == [
        {"run_id": run.pk, "workflow": "speaking", "step": "begin", "attempt": 1},
        {**logs.NOTHING, "run_id": 99},
        logs.NOTHING,
    ]


def test_every_line_of_the_engine_names_its_fields(pytestconfig):
    """A line without ``extra`` would be lost to whoever looks for a run; lines on no run are the exception."""
    runtime = pytestconfig.rootpath / "django_ai/automation/workflows/runtime"
    calls = [
        (path.name, call)
        for path in sorted(runtime.glob("*.py"))
        for call in re.findall(r"logger\.\w+\((?:[^()]|\([^()]*\))*\)", path.read_text())
    ]
    assert calls
    about_no_run = {"notices.py", "pulses.py"}
    assert {name for name, call in calls if "extra=" not in call} - about_no_run == set()


def test_lines_are_json_ready(workflows, journey, lines):
    engine.start(journey)
    workflows.drain()
    assert all(json.dumps({name: getattr(record, name) for name in logs.NOTHING}) for record in lines())


def test_the_claim_of_a_silent_level_costs_no_notice(caplog, monkeypatch):
    caplog.set_level("CRITICAL", logger="django_ai")
    monkeypatch.setattr(commit.notices, "of_move", lambda *_: pytest.fail("a notice was made"))
    run = engine.start(declare_inquiry())
    engine.cancel(run)
