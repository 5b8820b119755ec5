"""System checks: workflows go where they can, and the database and Celery are set up for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, Error, Tags
from django.core.checks import Warning as CheckWarning
from django.db import connections

from ..broker import check_celery
from ..clock import check_time_zone
from ..conf import check_settings
from ..documentation import register_check
from ..events import names
from ..events.subscriptions import subscriptions
from .authoring import waits
from .authoring.graph import Edge, EdgeKind, Graph, MistakeKind, WaitCall
from .authoring.inputs import EVENT_FIELDS, inputs_of
from .authoring.reading import read_graph
from .authoring.registry import registry
from .authoring.sources import Place, at, place_of_class
from .authoring.workflow import instance_fault
from .exceptions import InvalidCommand
from .machine.commands import WaitKind
from .machine.correlation import check_wait
from .machine.definition import WorkflowDefinition
from .machine.keys import excluded
from .machine.secret_places import unseen
from .runtime import rows

_LEADS = {
    EdgeKind.GOTO: "goes on with",
    EdgeKind.SLEEP: "sleeps and goes on with",
    EdgeKind.SIGNAL: "waits for a signal and goes on with",
    EdgeKind.EVENT: "waits for an event and goes on with",
    EdgeKind.CHILD: "runs a subflow and goes on with",
    EdgeKind.TIMEOUT: "times out and goes on with",
}


# How a mistake in the code of a step is reported.
_MISTAKES: dict[MistakeKind, tuple[type[Error | CheckWarning], str]] = {
    MistakeKind.LOST: (Error, "django_ai.E031"),
    MistakeKind.REFUSED: (Error, "django_ai.E032"),
    MistakeKind.NESTED: (Error, "django_ai.E033"),
    MistakeKind.HIDDEN: (Error, "django_ai.E037"),
    MistakeKind.NO_RESULT: (Error, "django_ai.E034"),
    MistakeKind.CALLED_STEP: (CheckWarning, "django_ai.W031"),
    MistakeKind.DROPPED: (CheckWarning, "django_ai.W032"),
}


def check_workflows(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Report workflows that cannot start, steps that do not exist and steps that nothing reaches."""
    chosen = [item for item in registry if app_configs is None or _app_of(item) in app_configs]
    graphs = [(definition, read_graph(definition)) for definition in chosen]
    faults = [message for item in graphs for check in _WORKFLOW_CHECKS for message in check(*item)]
    return [*faults, *_events_unheard_of(graphs), *_needed_from_events(chosen)]


def check_emitted_events(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of names that code emits and nothing listens to, where a similar name is listened to."""
    listened = {event for definition in registry for event, *_ in _events_of(definition, read_graph(definition))}
    listened |= {item.event for item in subscriptions if item.event}
    known = {*listened, *names.declared()}
    astray = [item for item in names.emitted() if item.name not in known] if known else []
    close = [(item, get_close_matches(item.name, known, n=1)) for item in astray]
    return [
        CheckWarning(
            f"emit({item.name!r}) brings about an event that nothing listens to ({item.place}).",
            hint=f"Did you mean {meant[0]!r}?",
            id="django_ai.W034",
        )
        for item, meant in close
        if meant
    ]


def _app_of(definition: WorkflowDefinition) -> AppConfig | None:
    return apps.get_containing_app_config(definition.cls.__module__)


def _named(definition: WorkflowDefinition) -> str:
    return f"{definition.cls.__module__}.{definition.cls.__qualname__}"


def _wrong_class(definition: WorkflowDefinition, graph: Graph) -> Iterator[CheckMessage]:
    if fault := instance_fault(definition.cls):
        yield Error(fault, obj=_named(definition), id="django_ai.E035")


def _wrong_steps(definition: WorkflowDefinition, graph: Graph) -> Iterator[CheckMessage]:
    workflow, cls = f"workflow {graph.workflow!r}", _named(definition)
    if not any(node.start for node in graph.nodes):
        text = f"The {workflow} has no start step{at(graph.place)}."
        yield Error(
            text, hint="Decorate the step where its runs begin with @step(start=True).", obj=cls, id="django_ai.E011"
        )
    for edge in graph.missing():
        leads = f"{_LEADS[edge.kind]} {edge.target!r}, which is no step of it{at(edge.place)}."
        text = f"Step {edge.source!r} of {workflow} {leads}"
        yield Error(text, hint=_alternative(definition, edge), obj=cls, id="django_ai.E012")
    for call in graph.waits:
        if reason := _fault_of(definition, call):
            text = f"Step {call.step!r} of {workflow} returns a wait that cannot be made{at(call.place)}. {reason}"
            yield Error(text, hint="The run would fail at this step.", obj=cls, id="django_ai.E013")
    for node in graph.unreachable():
        text = f"Nothing leads to step {node.name!r} of {workflow}{at(node.place)}."
        yield CheckWarning(text, hint="Go to it from another step, or delete it.", obj=cls, id="django_ai.W011")


def _fault_of(definition: WorkflowDefinition, call: WaitCall) -> str | None:
    """Return what is wrong with the arguments that the code shows of a wait, or None."""
    make = waits.wait.for_signal if call.kind is WaitKind.SIGNAL else waits.wait.for_event
    try:
        check_wait(make(call.name or call.step, **call.arguments), definition.context_class)
    except (InvalidCommand, TypeError) as error:
        return str(error)
    return None


def _mistakes(definition: WorkflowDefinition, graph: Graph) -> Iterator[CheckMessage]:
    for mistake in graph.mistakes:
        report, code = _MISTAKES[mistake.kind]
        text = f"Step {mistake.step!r} of workflow {graph.workflow!r} {mistake.text}{at(mistake.place)}."
        yield report(text, hint=mistake.hint or None, obj=_named(definition), id=code)


def _lost_fields(definition: WorkflowDefinition, graph: Graph) -> Iterator[CheckMessage]:
    for name in excluded(definition.context_class):
        text = f"The field {name!r} of the Context of workflow {graph.workflow!r} has exclude=True: it is never stored"
        hint = "Leave exclude=True out of what a run carries, or keep the field in a model of your own."
        place = at(place_of_class(definition.context_class))
        yield Error(f"{text}{place}.", hint=hint, obj=_named(definition), id="django_ai.E021")


_WORKFLOW_CHECKS = (_wrong_class, _wrong_steps, _mistakes, _lost_fields)


def _events_of(definition: WorkflowDefinition, graph: Graph) -> Iterator[tuple[str, str, Place | None]]:
    """Yield the events that a workflow listens to, each with the beginning of a sentence about it, and its place."""
    workflow = f"workflow {graph.workflow!r}"
    if definition.trigger:
        yield definition.trigger.event, f"The {workflow} is started by", graph.place
    for node in graph.nodes:
        if node.waits_for is WaitKind.EVENT:
            yield node.label, f"Step {node.name!r} of {workflow} waits for", node.place
    for call in graph.waits:
        if call.kind is WaitKind.EVENT and call.name:
            yield call.name, f"Step {call.step!r} of {workflow} waits for", call.place


def _events_unheard_of(graphs: Iterable[tuple[WorkflowDefinition, Graph]]) -> Iterator[CheckMessage]:
    listened = {each: definition for definition, graph in graphs for each in _events_of(definition, graph)}
    unheard_of = names.unheard_of(event for event, *_ in listened)
    for (event, sentence, place), definition in listened.items():
        if event in unheard_of:
            text = f"{sentence} event {event!r}, which no model declares and no code emits{at(place)}."
            hint = names.hint(event, names.declared())
            yield CheckWarning(text, hint=hint, obj=_named(definition), id="django_ai.W033")


def _needed_from_events(definitions: Iterable[WorkflowDefinition]) -> Iterator[CheckMessage]:
    declared = names.declared()
    for definition in definitions:
        event = definition.trigger.event if definition.trigger else ""
        known = bool(declared.get(event)) and not any(item.data for item in declared[event])
        if not known or hasattr(definition.cls, "create_context"):
            continue
        if missing := inputs_of(definition).missing(dict.fromkeys(EVENT_FIELDS)):
            yield Error(
                f"The Context of workflow {definition.name!r} requires {', '.join(map(repr, missing))}, which event"
                f" {event!r} does not have{at(place_of_class(definition.cls))}.",
                hint="Define create_context(cls, event=None), give the fields defaults, or the event data=.",
                obj=_named(definition),
                id="django_ai.E036",
            )


def _alternative(definition: WorkflowDefinition, edge: Edge) -> str:
    name = edge.target or ""
    if hasattr(definition.cls, name):
        return f"Decorate {name} with @step()."
    close = get_close_matches(name, definition.steps, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"The steps are: {', '.join(definition.steps)}."


def check_secrets(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of fields of contexts whose types do not say what of them is secret, so that all of it is shown."""
    chosen = [item for item in registry if app_configs is None or _app_of(item) in app_configs]
    return [_of_unseen(item, found) for item in chosen if (found := unseen(item.context_class))]


def _of_unseen(definition: WorkflowDefinition, found: Sequence[str]) -> CheckMessage:
    cls = f"{definition.cls.__module__}.{definition.cls.__qualname__}"
    of_context = f"the Context of workflow {definition.name!r}"
    if "" in found:
        text = f"No JSON schema can be made of {of_context}, so that all of it is masked."
        hint = f"{definition.context_class.__qualname__}.model_json_schema() says why."
    else:
        text = f"In {of_context} anything may stand in {', '.join(found)}, so that no secret there is masked."
        hint = "Give it a type, or json_schema_extra={'sensitive': True}, or False if it holds no secret."
    return CheckWarning(text, hint=hint, obj=cls, id="django_ai.W012")


def check_sqlite(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of an SQLite file that loses work to "database is locked" as soon as two threads write."""
    alias = rows.alias()
    connection: Any = connections[alias]
    if connection.vendor != "sqlite" or connection.is_in_memory_db():
        return []
    options = connection.settings_dict["OPTIONS"]
    lacking = [text for text, is_set in _SQLITE_OPTIONS.items() if not is_set(options)]
    if not lacking:
        return []
    text = f"The runs are in SQLite ({alias!r}), whose OPTIONS for several writers lack {' and '.join(lacking)}."
    return [CheckWarning(text, hint=f'DATABASES["{alias}"]["OPTIONS"] = {_SQLITE_HINT}', id="django_ai.W002")]


def _takes_the_lock_first(options: Mapping[str, Any]) -> bool:
    return str(options.get("transaction_mode")).upper() in ("IMMEDIATE", "EXCLUSIVE")


def _writes_ahead(options: Mapping[str, Any]) -> bool:
    return "journal_mode=wal" in str(options.get("init_command")).lower().replace(" ", "")


_SQLITE_OPTIONS: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    '"transaction_mode": "IMMEDIATE"': _takes_the_lock_first,
    '"init_command": "PRAGMA journal_mode=WAL;"': _writes_ahead,
}
_SQLITE_HINT = (
    '{"transaction_mode": "IMMEDIATE", "timeout": 20,'
    ' "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"}'
)


def check_isolation(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of an isolation level at which the loser of a race gets the database's error, and not the row as it is."""
    alias = rows.alias()
    connection: Any = connections[alias]
    name = _ISOLATION.get(connection.vendor)
    level = name(connection.settings_dict["OPTIONS"].get("isolation_level", "read committed")) if name else ""
    if level in ("", "read committed"):
        return []
    text = f"The runs' database ({alias!r}) has the isolation level {level.upper()}."
    hint = "Leave isolation_level out of the OPTIONS of DATABASES; another database may have it."
    return [CheckWarning(text, hint=hint, id="django_ai.W003")]


def _of_postgresql(level: Any) -> str:
    from django.db.backends.postgresql.psycopg_any import IsolationLevel

    try:
        name = level if isinstance(level, str) else IsolationLevel(level).name.replace("_", " ").lower()
    except ValueError:
        return ""  # Django says so when it connects
    return name.replace("uncommitted", "committed")  # which is the same there


def _of_mysql(level: Any) -> str:
    return str(level).lower() if level else "of its server"


# By Django's name of the database's vendor, what OPTIONS may say.
_ISOLATION: dict[str, Callable[[Any], str]] = {"postgresql": _of_postgresql, "mysql": _of_mysql}

_SURROUNDINGS = (check_settings, check_celery, check_time_zone, check_sqlite, check_isolation)
for check in (*_SURROUNDINGS, check_workflows, check_emitted_events):
    register_check(check)
register_check(check_secrets, Tags.security, deploy=True)
