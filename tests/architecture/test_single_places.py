"""One module sends to Celery, one of each application has it send, few write the columns that decide who owns a run."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.code import WORKFLOWS, Rule, broken, calls, dotted, modules, violations

SENDS = {"apply_async", "send_task", "delay", "delay_on_commit", "apply_async_on_commit", "send_task_message"}
ORDERS = {"publish", "send", "send_after_commit"}
WRITES = {"update", "create", "get_or_create", "update_or_create", "bulk_create", "bulk_update", "setattr"}
RUNTIME = f"{WORKFLOWS}/runtime"

# The columns of a run that say where it stands, and who owns its step. Each module of the runtime that writes one of
# them, or names one as data that might be written, is listed here with what it does; every other one only reads them.
PLACE = ("status", "sequence", "current_step")
CLAIM = ("attempt", "lease_until")
NAMED = {
    PLACE: {
        "columns.py": "has the columns of a transition",
        "commit.py": "writes a transition; has the fence; tells a parent the status of its child",
        "postgresql.py": "has the fence as parameters",
        "texts.py": "compares the status in SQL",
        "childless.py": "tells a parent the status of a child that was deleted",
        "signalling.py": "makes rows of the inbox, which may name the wait that they are for",
        "history.py": "writes rows of history, which have a status and a sequence of their own",
        "inbox.py": "marks a delivered message with the sequence of the wait that it ended",
        "by_hand.py": "writes edits and restarts, which name a visit by its sequence",
        "forms.py": "names the status in an error",
    },
    CLAIM: {
        "columns.py": "has the columns of a transition, which may claim the next step",
        "commit.py": "has the fence; takes the claim of a form's poster away when the run is edited",
        "portable.py": "claims a step",
        "texts.py": "claims a step in SQL",
        "postgresql.py": "has the fence as parameters",
        "call.py": "tells a step the number of its attempt",
        "heartbeat.py": "renews a lease",
        "stopping.py": "gives a claim back",
        "scheduler.py": "ends leases that have run out",
        "forms.py": "claims a form",
        "rows.py": "has a failed attempt, with its number, as JSON",
    },
}


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


def written(columns: tuple[str, ...]) -> Rule:
    """Return the rule that yields where one of these columns is written: by attribute, keyword, name or SQL."""
    in_sql = re.compile(rf"(?:\bset\b[^;]*|^)\b({'|'.join(columns)})\b\s*=(?!=)", re.IGNORECASE | re.DOTALL)

    def rule(tree: ast.AST) -> Iterator[tuple[int, str]]:
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(attr=name, ctx=ast.Store()) if name in columns:
                    yield node.lineno, f"assigns {dotted(node)}"
                case ast.Subscript(slice=ast.Constant(value=name), ctx=ast.Store()) if name in columns:
                    yield node.lineno, f"assigns [{name!r}]"
                case ast.Call(func=func) if dotted(func).rpartition(".")[2] in WRITES:
                    yield from ((node.lineno, f"writes {name} by {dotted(func)}()") for name in _named(node, columns))
                case ast.Constant(value=str(text)) if in_sql.search(text):
                    yield node.lineno, "writes it in SQL"

    return rule


def named(columns: tuple[str, ...]) -> Rule:
    """Return the rule that yields where one of these columns is written, or is a key of a dict that may be written."""

    def rule(tree: ast.AST) -> Iterator[tuple[int, str]]:
        yield from written(columns)(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict):
                names = [key.value for key in node.keys if isinstance(key, ast.Constant) and key.value in columns]
                yield from ((node.lineno, f"has a dict with {name!r}") for name in names)

    return rule


def _named(call: ast.Call, columns: tuple[str, ...]) -> Iterator[str]:
    """Yield the columns that a call names as keywords, or as texts, as setattr and bulk_update have them."""
    yield from (keyword.arg for keyword in call.keywords if keyword.arg in columns)
    values = [node for argument in call.args for node in ast.walk(argument)]
    yield from (node.value for node in values if isinstance(node, ast.Constant) and node.value in columns)


def test_only_the_broker_module_sends_to_celery():
    # In the machine, which cannot import Celery, a delay is a duration.
    assert violations(sending, modules(), exempt=("automation/broker.py", f"{WORKFLOWS}/machine/")) == []


def test_one_module_of_each_application_has_messages_sent():
    allowed = (f"{WORKFLOWS}/runtime/dispatch.py", "automation/events/announcing.py")
    assert violations(ordering, modules(), exempt=allowed) == []


@pytest.mark.parametrize("columns", NAMED)
def test_few_modules_write_where_a_run_stands_and_who_owns_its_step(columns):
    found = {module.path for module in modules(f"{RUNTIME}/") if violations(named(columns), [module])}
    assert found == {f"{RUNTIME}/{name}" for name in NAMED[columns]}


def test_no_module_outside_of_the_runtime_writes_a_status_or_a_lease():
    # The machine's states are values; nothing there is a row.
    found = [module for module in modules(f"{WORKFLOWS}/") if not module.path.startswith(f"{RUNTIME}/")]
    assert violations(written((*PLACE, *CLAIM)), found, exempt=(f"{WORKFLOWS}/machine/",)) == []


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
        "columns['status'] = FAILED",
        "runs.filter(pk=1).update(status=FAILED)",
        "WorkflowRun.objects.create(status=FAILED)",
        "setattr(run, 'status', FAILED)",
        "runs.bulk_update(rows, ['status'])",
        "cursor.execute('UPDATE run SET error = %s, status = %s')",
        "sets = ['status = %s']",
        "Writes(run=run, fence=fence, columns={'status': FAILED})",
        "new |= {'status': FAILED}",
    ],
)
def test_a_status_written_elsewhere_is_found(source):
    assert broken(named(PLACE), source)


def test_a_lease_written_elsewhere_is_found():
    assert broken(named(CLAIM), "held.update(lease_until=None)")
    assert broken(named(CLAIM), "sets = ['attempt = attempt + 1']")


@pytest.mark.parametrize("source", ["status = run.status", "runs.filter(status=FAILED)", "Report(status=run.status)"])
def test_a_status_that_is_only_read_is_not(source):
    assert not broken(named(PLACE), source)
