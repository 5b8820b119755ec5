"""From measured facts to a verdict and an advice."""

from datetime import UTC, datetime, timedelta

import pytest

from django_ai.automation.workflows.health.facts import MOST, Backlog, Facts, Part
from django_ai.automation.workflows.health.judging import judge, spoken
from django_ai.automation.workflows.health.report import Grade, Thresholds

NOW = datetime(2027, 1, 1, tzinfo=UTC)


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


WELL = {
    "now": NOW,
    "broker_address": "redis://localhost:6379//",
    "project": "shop",
    "beat": Part(at=ago(2)),
    "tick": Part(at=ago(3)),
    "queues": (("celery", Part(at=ago(4), lag=0.01)), ("slow", Part(at=ago(5), lag=0.02))),
}


def check(name, **facts):
    report = judge(Facts(**{**WELL, **facts}), Thresholds())
    return next(check for check in report.checks if check.name == name)


def bad(**facts):
    """Return the checks that are not well: name and grade."""
    report = judge(Facts(**{**WELL, **facts}), Thresholds())
    return {check.name: check.grade.label for check in report.checks if check.grade}


def test_a_healthy_installation_has_nothing_to_advise():
    report = judge(Facts(**WELL), Thresholds())
    assert report.grade is Grade.OK
    assert [check.advice for check in report.checks if check.advice] == []
    assert [check.name for check in report.checks] == [
        "database", "broker", "beat", "scheduler", "workers of celery", "workers of slow",
        "steps", "timers", "messages", "events", "stuck runs",
    ]  # fmt: skip


def test_a_stopped_beat_is_named_and_nothing_is_said_of_workers_that_nobody_asks():
    facts = {
        "beat": Part(at=ago(90)),
        "tick": Part(at=ago(91)),
        "queues": (("celery", Part(at=ago(95), lag=0.01)),),
    }
    assert bad(**facts) == {"beat": "fail", "scheduler": "fail", "workers of celery": "warn"}
    assert check("beat", **facts).advice == "Start beat: celery -A shop beat"
    assert check("beat", **facts).value == "last tick was sent 1 min 30 s ago"
    assert "Start beat" in check("scheduler", **facts).advice


def test_a_beat_that_was_never_there_is_named():
    facts = {"beat": Part(), "tick": Part(), "queues": (("celery", Part()),)}
    assert check("beat", **facts).value == "has never ticked"
    assert bad(**facts)["beat"] == "fail"


def test_ticks_that_arrive_were_sent_though_beat_could_not_write_it_down():
    assert bad(beat=Part(at=ago(90))) == {}


def test_a_stopped_worker_of_the_ticks_queue_is_named_by_the_ticks_that_nobody_takes():
    facts = {"tick": Part(at=ago(70)), "queues": (("celery", Part(at=ago(75), lag=0.01)),)}
    assert bad(**facts) == {"scheduler": "fail", "workers of celery": "fail"}
    assert check("workers of celery", **facts).advice == "start one: celery -A shop worker -Q celery."
    assert "no worker takes them from queue 'celery'" in check("scheduler", **facts).advice


def test_a_stopped_worker_of_another_queue_owes_its_answer():
    facts = {"queues": (("celery", Part(at=ago(1), lag=0.0)), ("slow", Part(at=ago(80), asked_at=ago(70), lag=0.0)))}
    assert bad(**facts) == {"workers of slow": "fail"}
    assert check("workers of slow", **facts).value == "answered 1 min 20 s ago; asked 1 min 10 s ago"


@pytest.mark.parametrize(
    ("part", "grade"),
    [
        (Part(at=ago(5), lag=29.0), Grade.OK),
        (Part(at=ago(5), lag=31.0), Grade.WARN),
        (Part(at=ago(5), lag=301.0), Grade.FAIL),
        # What is on its way has waited at least this long.
        (Part(at=ago(40), asked_at=ago(35), lag=0.1), Grade.WARN),
        (Part(at=ago(20), asked_at=ago(10), lag=0.1), Grade.OK),
    ],
)
def test_a_queue_is_late_by_what_its_messages_wait(part, grade):
    assert check("workers of slow", queues=(("slow", part),)).grade is grade


@pytest.mark.parametrize("name", ["steps", "timers", "messages", "events"])
def test_a_backlog_is_bad_by_the_age_of_its_oldest(name):
    assert check(name, **{name: Backlog(count=500, since=ago(29))}).grade is Grade.OK
    late = check(name, **{name: Backlog(count=2, since=ago(31))})
    assert (late.grade, late.data["count"], late.data["oldest_seconds"]) == (Grade.WARN, 2, 31)
    assert late.advice
    assert check(name, **{name: Backlog(count=2, since=ago(301))}).grade is Grade.FAIL


def test_a_backlog_that_is_too_large_to_count_says_so():
    assert check("steps", steps=Backlog(count=MOST, since=ago(31))).value.startswith("1,000 or more steps")


def test_stuck_runs_are_named():
    stuck = check("stuck runs", stuck=Backlog(count=3), stuck_runs=(4, 5))
    assert (stuck.grade, stuck.value) == (Grade.FAIL, "3: #4, #5 …")


def test_runs_whose_child_was_deleted_are_named_in_the_advice():
    without = check("stuck runs", stuck=Backlog(count=1), stuck_runs=(4,), without_child=(4,))
    assert "The child of #4 was deleted" in without.advice


def test_without_the_database_nothing_else_is_claimed():
    report = judge(Facts(database="OperationalError: gone"), Thresholds())
    assert (report.grade, [check.name for check in report.checks]) == (Grade.FAIL, ["database", "broker"])


def test_a_broker_that_is_away_is_a_failure():
    assert bad(broker="ConnectionRefusedError: refused") == {"broker": "fail"}


def test_a_report_is_json_ready():
    data = judge(Facts(**WELL), Thresholds()).as_dict()
    assert data["status"] == "ok"
    assert data["at"] == "2027-01-01T00:00:00+00:00"
    assert data["checks"][4]["data"] == {
        "queue": "celery", "lag_seconds": 0.01, "silence_seconds": 4.0, "owes_seconds": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.04, "0 s"), (2.35, "2.4 s"), (59, "59 s"), (60, "1 min"), (3_900, "1 h 5 min"), (260_000, "3 d")],
)
def test_a_span_is_spoken_in_two_units_at_most(seconds, text):
    assert spoken(timedelta(seconds=seconds)) == text


def test_what_speaks_every_half_minute_is_not_silent_after_one(settings):
    settings.DJANGO_AI = {"PULSE_SECONDS": 40, "SILENT_AFTER_SECONDS": 60}
    assert Thresholds.configured().silent == timedelta(seconds=120)
