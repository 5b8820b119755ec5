"""Wherever the process dies, each run ends as if it had not, and what its steps wrote is there once."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from django_ai.automation.events.models import Event
from django_ai.automation.workflows.authoring.registry import registry
from django_ai.automation.workflows.models import EventBurst, Signal, Suspension, WorkflowRun
from tests.app.models import Note

from .stories import SEVERAL_STEPS, STORIES
from .world import ENGINE, Stuck, World, world

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # A process that dies closes no cursor.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

Story = Callable[[World], None]

# The least number of places to die at that a story must have had to be worth telling.
FEWEST_BOUNDARIES = 8


@pytest.fixture(autouse=True)
def short_lease(settings):
    settings.DJANGO_AI = ENGINE


@dataclass(frozen=True)
class Life:
    """What was left when a story ended, and how the process fared."""

    end: dict[str, Any]
    world: World


def never(number: int) -> bool:
    return False


def live(story: Story, dies: Callable[[int], bool] = never) -> Life:
    """Live a story in an empty world, with a process that dies at the boundaries of these numbers."""
    for model in (WorkflowRun, Event, EventBurst, Note):
        model.objects.all().delete()
    before = list(registry)
    try:
        with world(dies) as lived:
            story(lived)
            lived.until(lambda: not Signal.objects.filter(state="pending").exists())
            return Life(_end(), lived)
    finally:
        for definition in list(registry):
            if definition not in before:
                registry.remove(definition)


def _end() -> dict[str, Any]:
    """Return all that must not depend on how often the process died."""
    notes = list(Note.objects.values_list("text", flat=True))
    outside = {text for text in notes if text.startswith("outside")}
    return {
        "runs": [_run(run) for run in WorkflowRun.objects.order_by("pk")],
        "once": sorted(text for text in notes if text not in outside),
        "at least once": outside,
        "signals": sorted(Signal.objects.values_list("kind", "state")),
        "waiting": Suspension.objects.count(),
        "events": sorted(Event.objects.values_list("name", "status")),
        "bursts": EventBurst.objects.count(),
    }


def _run(run: WorkflowRun) -> dict[str, Any]:
    history = list(run.step_executions.values_list("sequence", "step_name", "status"))
    data = {name: value for name, value in run.data.items() if not name.endswith("_id")}
    fields = ("name", "status", "current_step", "sequence", "progress", "completion_display")
    # A step whose last attempt was lost failed for that reason, not for that of the attempts before.
    known = {"data": data, "history": history, "has an error": bool(run.error)}
    return {name: getattr(run, name) for name in fields} | known


def difference(calm: Life, story: Story, dies: Callable[[int], bool]) -> str | None:
    """Say how a life with deaths ended differently, or None."""
    try:
        life = live(story, dies)
    except Stuck as error:
        return f"stuck: {error}"
    lived = life.end
    differing = [f"{key}: {lived[key]} instead of {value}" for key, value in calm.end.items() if lived[key] != value]
    return "; ".join(differing) or None


def die_everywhere(story: Story) -> None:
    calm = live(story)
    assert calm.world.deaths == 0
    assert len(calm.world.fateful) >= FEWEST_BOUNDARIES
    faults = {
        f"{number}. {calm.world.boundaries[number - 1][:300]}": fault
        for number in calm.world.fateful
        if (fault := difference(calm, story, number.__eq__))
    }
    assert faults == {}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_death_after_any_statement_commit_or_message_changes_nothing(story):
    die_everywhere(story)


@pytest.mark.parametrize("story", SEVERAL_STEPS, ids=lambda story: story.__name__)
def test_nor_does_it_where_each_step_is_a_task_of_its_own(story, settings):
    settings.DJANGO_AI = {**ENGINE, "STEPS_PER_TASK": 1}
    die_everywhere(story)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_process_that_dies_again_and_again_gets_through_all_the_same(story):
    calm = live(story)
    faults = {}
    for seed in range(3):
        # The process passes 25 boundaries on the average, a few times what a transaction needs.
        chance = random.Random(seed)
        if fault := difference(calm, story, lambda _, chance=chance: chance.random() < 1 / 25):
            faults[seed] = fault
    assert faults == {}
