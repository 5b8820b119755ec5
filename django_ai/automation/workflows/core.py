"""The public names of django_ai.automation.workflows."""

from .authoring.commands import complete, fail, goto, run_subflow, sleep
from .authoring.current import get_context
from .authoring.steps import step
from .authoring.subflow import SubflowResult
from .authoring.triggers import event_workflow
from .authoring.waits import wait, wait_for_event
from .authoring.workflow import workflow
from .machine.commands import Command
from .machine.definition import Retry
from .machine.statuses import WorkflowStatus
from .runtime.engine import engine
from .stored_rows import Django

__all__ = [
    "Command",
    "Django",
    "Retry",
    "SubflowResult",
    "WorkflowStatus",
    "complete",
    "engine",
    "event_workflow",
    "fail",
    "get_context",
    "goto",
    "run_subflow",
    "sleep",
    "step",
    "wait",
    "wait_for_event",
    "workflow",
]
