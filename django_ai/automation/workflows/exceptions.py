"""The faults a caller can act on: one family, each class saying in its docstring what is wrong."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any

from django.db import OperationalError
from django.utils.translation import gettext

from .. import storable
from ..conf import settings
from ..documentation import error_link

# So many exceptions of a group are named in the line that describes it.
MOST_OF_GROUP = 10


class WorkflowError(Exception):
    """A workflow could not do what was asked of it."""

    # Whether a step that raises this may succeed when it runs again. Faults of the code do not heal.
    retryable = False

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__ or "")
        known = next(kind for kind in type(self).__mro__ if kind.__module__ == __name__)
        # Below the traceback, and not in the text that is kept with a run.
        self.add_note(f"More: {error_link(known)}")


class DeclarationError(WorkflowError, ValueError):
    """A workflow class is declared wrongly."""


class DuplicateWorkflow(DeclarationError):
    """Two different classes register one workflow name and version."""


class ContextMissing(DeclarationError):
    """A workflow that defines create_context must define a Context class."""


class UnknownWorkflow(WorkflowError, LookupError, ValueError):
    """No workflow is registered under this name."""


class UnknownStep(WorkflowError, LookupError):
    """The workflow has no step of this name."""


class NotDeployed(WorkflowError, LookupError):
    """This worker's code lacks the run's workflow or step."""

    # While a new version is being deployed, another worker has it already.
    retryable = True


class NoStartStep(WorkflowError):
    """The workflow cannot start: none of its steps is declared with @step(start=True)."""


class InvalidOption(WorkflowError, ValueError):
    """An option of engine.using() makes no sense, such as an empty idempotency key."""


class ContextInvalid(WorkflowError, ValueError):
    """The data does not fit the workflow's Context.

    ``faults`` holds one ``(field, reason)`` for each value that does not fit, as far as they are known.
    """

    faults: Sequence[tuple[str, str]] = ()


class ContextTooLarge(ContextInvalid):
    """The context is larger than DJANGO_AI["MAX_CONTEXT_BYTES"] allows."""


class InvalidCommand(WorkflowError, ValueError):
    """A command has arguments that make no sense, such as a negative sleep."""


class NotACommand(WorkflowError, TypeError):
    """A step must return goto(), sleep(), wait(), run_subflow(), complete() or fail()."""


class OutsideStep(WorkflowError, RuntimeError):
    """The context of a step is asked for where no step runs: the engine runs steps, after engine.start()."""


class IllegalMove(WorkflowError):
    """The run's status does not allow this."""


class WaitTimedOut(WorkflowError):
    """What the run waited for did not come in time."""


class StepTimedOut(WorkflowError):
    """The step ran for longer than its timeout and was broken off."""

    retryable = True


class WorkerLost(WorkflowError):
    """The attempt's worker gave no sign of life for a whole lease: it was killed, or a call held its interpreter."""

    retryable = True


class LeaseLost(WorkflowError):
    """This attempt went on beyond its lease, and another one had begun when it ended."""

    retryable = True


class CommitUnknown(WorkflowError, OperationalError):
    """The connection was lost during the commit, so this was done or was not: look before you repeat it."""

    retryable = True


class StaleClaim(WorkflowError):
    """The run moved on while this step ran, so its result was discarded."""


class FormNotOpen(WorkflowError):
    """The run does not wait for this form (HTTP 409); the message says where it is."""

    status_code = 409

    @property
    def safe_detail(self) -> str:
        """What the person who posted may read: all of it, for who may post may know where the run is."""
        return str(self)


class FormFailed(WorkflowError):
    """The code behind a form failed (HTTP 500); nothing was saved and the form may be sent again."""

    status_code = 500

    @property
    def safe_detail(self) -> str:
        """What the person who posted may read, in their language."""
        return gettext("Something went wrong and nothing was saved. The form may be sent again.")


class UnknownSignal(WorkflowError, LookupError):
    """The run's workflow never waits for a signal of this name."""


class SignalRejected(WorkflowError, ValueError):
    """A signal's payload does not fit the wait, or the Context, of a run.

    ``rejections`` holds one ``(run_id, reason)`` for each run that was not resumed;
    ``accepted`` counts the runs that the signal was handed to all the same. ``faults`` holds one
    ``(field, reason)`` for each field at fault, as far as they are known.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        rejections: Sequence[tuple[int, str]] = (),
        accepted: int = 0,
        faults: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.rejections = list(rejections)
        self.accepted = accepted
        self.faults = list(faults)


def describe(error: BaseException) -> str:
    """Return the one line by which history and admin name an exception."""
    text = kept(storable.text_of(error))
    if isinstance(error, WorkflowError):
        return text
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        return f"{line}: {'; '.join(describe(inner) for inner in error.exceptions[:MOST_OF_GROUP])}"
    return line


def traceback_of(error: BaseException) -> str:
    """Return an exception's traceback, as far as it can be made."""
    try:
        return storable.text("".join(traceback.format_exception(error)))
    except Exception:  # noqa: BLE001 - it asks the exception for its texts and notes, which may raise anything
        return storable.text("".join([*traceback.format_tb(error.__traceback__), describe(error)]))


def kept(text: str) -> str:
    """Return an error or a traceback as it is kept: its beginning and its end, and how much is left out.

    Characters that a database refuses are escaped. The ellipses stand at the very cuts, where half of a
    secret may be left: redaction looks there.
    """
    most, text = settings.MAX_ERROR_LENGTH, storable.text(text)
    if len(text) <= most:
        return text
    room = most - 60
    end = room // 3
    return f"{text[: room - end]}…\n({len(text) - room:,} characters are left out)\n…{text[len(text) - end :]}"


def pydantic_faults(errors: Sequence[Any]) -> list[tuple[str, str]]:
    """Return pydantic's error details as pairs of a field's path and the reason."""
    return [(".".join(str(part) for part in detail["loc"]) or "context", detail["msg"]) for detail in errors]


def pydantic_reasons(errors: Sequence[Any]) -> str:
    """Return pydantic's error details as ``field: reason`` joined by semicolons."""
    return "; ".join(f"{field}: {reason}" for field, reason in pydantic_faults(errors))
