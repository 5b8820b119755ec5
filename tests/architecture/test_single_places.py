"""One module sends to Celery, one of each application has it send, one changes a run's status."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.code import WORKFLOWS, broken, calls, dotted, modules, violations

SENDS = {"apply_async", "send_task", "delay", "delay_on_commit", "apply_async_on_commit", "send_task_message"}
ORDERS = {"publish", "send", "send_after_commit"}
WRITES = {"update", "create", "get_or_create", "update_or_create", "bulk_create", "bulk_update", "setattr"}
SET_STATUS = re.compile(r"\bset\b[^;]*\bstatus\b\s*=", re.IGNORECASE | re.DOTALL)


def sending(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for call in calls(tree):
        name = dotted(call.func).rpartition(".")[2]
        if name in SENDS:
            yield call.lineno, f"calls {name}()"


def ordering(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield where a module has the broker module send."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module="broker", names=names):
                yield from ((node.lineno, f"imports {name.name}") for name in names if name.name in ORDERS)
            case ast.Attribute(value=ast.Name(id="broker"), attr=name) if name in ORDERS:
                yield node.lineno, f"uses broker.{name}"


def status_written(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr="status", ctx=ast.Store()):
                yield node.lineno, f"assigns {dotted(node)}"
            case ast.Call(func=func, keywords=keywords) if dotted(func).rpartition(".")[2] in WRITES:
                if any(keyword.arg == "status" for keyword in keywords) or _names_status(node):
                    yield node.lineno, f"writes a status by {dotted(func)}()"
            case ast.Constant(value=str(text)) if SET_STATUS.search(text):
                yield node.lineno, "writes a status in SQL"


def _names_status(call: ast.Call) -> bool:
    """Tell whether a positional argument is the name `status`, as setattr and bulk_update have it."""
    values = [node for argument in call.args for node in ast.walk(argument)]
    return any(isinstance(node, ast.Constant) and node.value == "status" for node in values)


def test_only_the_broker_module_sends_to_celery():
    # In the machine, which cannot import Celery, a delay is a duration.
    assert violations(sending, modules(), exempt=("automation/broker.py", f"{WORKFLOWS}/machine/")) == []


def test_one_module_of_each_application_has_messages_sent():
    allowed = (f"{WORKFLOWS}/runtime/dispatch.py", "automation/events/announcing.py")
    assert violations(ordering, modules(), exempt=allowed) == []


def test_the_commit_alone_writes_the_status_of_a_run():
    found = modules(f"{WORKFLOWS}/")
    # The machine's states are values; nothing there is a row. A row of history has a status of its own.
    allowed = (f"{WORKFLOWS}/runtime/commit.py", f"{WORKFLOWS}/runtime/history.py", f"{WORKFLOWS}/machine/")
    assert violations(status_written, found, exempt=allowed) == []


@pytest.mark.parametrize(
    "source", ["execute.delay(1)", "execute.apply_async((1,))", "app.send_task('execute')", "signature('t').delay()"]
)
def test_a_message_sent_elsewhere_is_found(source):
    assert broken(sending, source)


@pytest.mark.parametrize("source", ["from ...broker import send_after_commit", "broker.publish('execute')"])
def test_a_message_ordered_elsewhere_is_found(source):
    assert broken(ordering, source)


@pytest.mark.parametrize(
    "source",
    [
        "run.status = FAILED",
        "for run.status in statuses: pass",
        "runs.filter(pk=1).update(status=FAILED)",
        "WorkflowRun.objects.create(status=FAILED)",
        "setattr(run, 'status', FAILED)",
        "runs.bulk_update(rows, ['status'])",
        "cursor.execute('UPDATE run SET error = %s, status = %s')",
    ],
)
def test_a_status_written_elsewhere_is_found(source):
    assert broken(status_written, source)


@pytest.mark.parametrize("source", ["status = run.status", "runs.filter(status=FAILED)", "Report(status=run.status)"])
def test_a_status_that_is_only_read_is_not(source):
    assert not broken(status_written, source)
