"""What the guide's blocks take for granted: imports, the class around a step, the run at hand."""

from textwrap import indent
from typing import Any

from django_ai.automation.workflows.core import workflow
from django_ai.automation.workflows.models import Signal, Suspension, WorkflowRun
from django_ai.automation.workflows.runtime import inbox

IMPORTS = """
from datetime import timedelta
from decimal import Decimal
from typing import Optional

from django.utils import timezone
from pydantic import BaseModel
from rest_framework.response import Response

from django_ai.automation.workflows.core import *
from django_ai.automation.workflows.metadata import FieldDisplayConfig, FieldGroup, StepDisplayMetadata
from django_ai.automation.workflows.models import WorkflowRun
"""

NOT_STEPS = {"Context", "create_context"}


def run_code(*parts: str, **names: Any) -> dict[str, Any]:
    """Run code as one module, after the usual imports, and return its names.

    Args:
        parts: the guide's blocks and what they leave out, in their order in the module.
        names: what the module finds there already.
    """
    module = {"__name__": "tests.guide.module", **names}
    exec(compile("\n".join((IMPORTS, *parts)), "<guide>", "exec"), module)
    return module


def declare(name: str, *parts: str, **names: Any) -> type:
    """Declare a workflow whose class body is ``parts``: the guide often prints its steps alone.

    The code runs as a module and its steps become the class's, so the blocks stay as they are printed.
    """
    module = run_code(*parts, **names)
    body = {key: value for key, value in module.items() if hasattr(value, "__workflow_step__") or key in NOT_STEPS}
    return workflow(name)(type(name, (), body))


def in_function(block: str) -> str:
    """Return a block that ends with ``return`` as the body of the function ``view``."""
    return f"def view():\n{indent(block, '    ')}"


def reloaded(run: WorkflowRun) -> WorkflowRun:
    """Return the run as it is in the database now."""
    return WorkflowRun.objects.get(pk=run.pk)


def occur(name: str, **payload: Any) -> None:
    """Let an event occur: its payload goes into the inbox of each run that waits for it."""
    for wait in Suspension.objects.filter(kind="event", name=name).select_related("run"):
        event = Signal(run=wait.run, kind="event", name=name, payload=payload, sequence=wait.run.sequence)
        inbox.post_many([event])
