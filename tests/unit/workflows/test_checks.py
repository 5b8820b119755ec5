"""`manage.py check` says what is wrong with workflows and their surroundings, and where."""

import dataclasses
import importlib
import inspect
import re
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.core import checks as django_checks
from django.db.backends.postgresql.psycopg_any import IsolationLevel
from django.db.backends.sqlite3.base import DatabaseWrapper
from pydantic import BaseModel, Field, model_validator

from django_ai.automation import broker, clock, conf, documentation
from django_ai.automation.events import EventDefinition, names
from django_ai.automation.workflows import checks
from django_ai.automation.workflows.authoring.graph import MistakeKind
from django_ai.automation.workflows.core import (
    complete,
    engine,
    event_workflow,
    goto,
    run_subflow,
    sleep,
    step,
    wait,
    wait_for_event,
    workflow,
)
from django_ai.automation.workflows.exceptions import NoStartStep
from tests.app.models import Order
from tests.settings_databases import SQLITE_OPTIONS

STEPLESS = '@workflow("stepless")'


def found(check, app_configs=None):
    return [(message.id, message.msg, message.hint) for message in check(app_configs)]


def line_of(text):
    lines = inspect.getsource(inspect.getmodule(line_of)).splitlines()
    [number] = [number for number, line in enumerate(lines, 1) if line.strip() == text]
    return f"{__file__}:{number}"


@pytest.mark.parametrize(
    "check",
    [
        conf.check_settings,
        broker.check_celery,
        checks.check_workflows,
        checks.check_emitted_events,
        checks.check_sqlite,
    ],
)
def test_each_check_is_registered_once(check):
    registered = django_checks.registry.registry.get_checks()
    assert [item for item in registered if inspect.unwrap(item) is check] == [documentation.explained(check)]


def test_a_sound_workflow_is_fine():
    @workflow("sound")
    class Sound:
        @step(start=True)
        def first(self):
            return complete()

    assert found(checks.check_workflows) == []


@pytest.mark.django_db
def test_a_workflow_without_steps_imports_is_reported_and_does_not_start():
    @workflow("stepless")
    class Stepless:
        pass

    [(code, text, hint)] = found(checks.check_workflows)
    assert (code, text) == (
        "django_ai.E011",
        f"The workflow 'stepless' has no start step ({line_of(STEPLESS)}).",
    )
    assert "@step(start=True)" in hint
    with pytest.raises(NoStartStep, match="Stepless"):
        engine.start("stepless")


def test_a_workflow_without_a_start_step_is_reported_once():
    @workflow("startless")
    class Startless:
        @step()
        def alone(self):
            return complete()

    assert [code for code, _, _ in found(checks.check_workflows)] == ["django_ai.E011"]


def test_a_target_that_does_not_exist_is_reported_with_its_line_and_the_nearest_name():
    @workflow("astray")
    class Astray:
        @step(start=True)
        def first(self):
            return goto("secnd")

        @step()
        def second(self):  # unreachable
            return complete()

    missing, unreachable = found(checks.check_workflows)
    place = line_of('return goto("secnd")')
    assert missing == (
        "django_ai.E012",
        f"Step 'first' of workflow 'astray' goes on with 'secnd', which is no step of it ({place}).",
        "Did you mean 'second'?",
    )
    place = line_of("def second(self):  # unreachable")
    assert unreachable[:2] == ("django_ai.W011", f"Nothing leads to step 'second' of workflow 'astray' ({place}).")


def test_a_method_that_lacks_its_decorator_is_named_as_such():
    @workflow("undecorated")
    class Undecorated:
        @step(start=True)
        def first(self):
            return sleep(1, then=self.forgotten)

        def forgotten(self):
            return complete()

    [(_, text, hint)] = found(checks.check_workflows)
    assert "sleeps and goes on with 'forgotten'" in text
    assert hint == "Decorate forgotten with @step()."


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (lambda: wait("x", then="nowhere"), "waits for a signal"),
        (lambda: wait.for_event("x", then="nowhere"), "waits for an event"),
        (lambda: wait("x", timeout=1, on_timeout="nowhere", then="first"), "times out"),
        (lambda: run_subflow("child", on_complete="nowhere"), "runs a subflow"),
    ],
)
def test_the_message_says_by_what_the_step_is_left(command, words, tmp_path, monkeypatch):
    source = inspect.getsource(command).split("lambda: ", 1)[1].rsplit(', "', 1)[0]
    names = "complete, goto, run_subflow, sleep, step, wait, workflow"
    (tmp_path / "left_workflow.py").write_text(
        f"from django_ai.automation.workflows.core import {names}\n"
        f"@workflow('left')\nclass Left:\n    @step(start=True)\n    def first(self):\n        return {source}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "left_workflow", raising=False)
    importlib.import_module("left_workflow")
    workflow("child")(type("Child", (), {"only": step(start=True)(lambda self: complete())}))
    [(_, text, hint)] = found(checks.check_workflows)
    assert words in text
    assert f"{tmp_path / 'left_workflow.py'}:6" in text
    assert hint == "The steps are: first."


def test_only_the_workflows_of_the_apps_that_are_asked_for_are_checked():
    class Elsewhere:
        __module__ = "tests.app.workflows"

    workflow("elsewhere")(Elsewhere)
    assert found(checks.check_workflows, [apps.get_app_config("auth")]) == []
    assert found(checks.check_workflows, [apps.get_app_config("testapp")]) != []


def sqlite(monkeypatch, name, **options):
    settings = {"NAME": name, "OPTIONS": options, "TIME_ZONE": None, "CONN_MAX_AGE": 0, "AUTOCOMMIT": True}
    monkeypatch.setattr(checks, "connections", {"default": DatabaseWrapper(settings, "default")})
    return found(checks.check_sqlite)


@pytest.mark.parametrize("mode", ["IMMEDIATE", "immediate", "EXCLUSIVE"])
def test_sqlite_for_several_writers_is_fine(monkeypatch, mode):
    assert sqlite(monkeypatch, "runs.db", **{**SQLITE_OPTIONS, "transaction_mode": mode}) == []


@pytest.mark.parametrize("name", [":memory:", "file:memorydb_default?mode=memory&cache=shared"])
def test_sqlite_in_memory_is_nobodys_production(monkeypatch, name):
    assert sqlite(monkeypatch, name) == []


@pytest.mark.parametrize(
    ("option", "lacking"),
    [("transaction_mode", '"transaction_mode": "IMMEDIATE"'), ("init_command", "journal_mode=WAL")],
)
def test_sqlite_that_will_be_locked_is_warned_of_by_what_it_lacks(monkeypatch, option, lacking):
    options = {name: value for name, value in SQLITE_OPTIONS.items() if name != option}
    [(code, text, hint)] = sqlite(monkeypatch, "runs.db", **options)
    assert (code, lacking in text, " and " in text) == ("django_ai.W002", True, False)
    assert all(repr(value).strip("'") in hint for value in SQLITE_OPTIONS.values())


def test_sqlite_as_django_makes_it_lacks_both(monkeypatch):
    [(_, text, _)] = sqlite(monkeypatch, "runs.db")
    assert "IMMEDIATE" in text.split(" and ")[0]
    assert "journal_mode=WAL" in text.split(" and ")[1]


def test_other_databases_need_no_such_options(monkeypatch):
    class Connection:
        vendor = "postgresql"

    monkeypatch.setattr(checks, "connections", {"default": Connection()})
    assert found(checks.check_sqlite) == []


def isolation(monkeypatch, vendor, **options):
    class Connection:
        settings_dict = {"OPTIONS": options}

    Connection.vendor = vendor
    monkeypatch.setattr(checks, "connections", {"default": Connection()})
    return found(checks.check_isolation)


@pytest.mark.parametrize(
    ("vendor", "options"),
    [
        ("postgresql", {}),
        ("postgresql", {"isolation_level": IsolationLevel.READ_COMMITTED}),
        ("postgresql", {"isolation_level": IsolationLevel.READ_UNCOMMITTED}),
        ("postgresql", {"isolation_level": 7}),
        ("mysql", {}),
        ("mysql", {"isolation_level": "READ COMMITTED"}),
        ("sqlite", {}),
    ],
)
def test_read_committed_is_as_it_should_be(monkeypatch, vendor, options):
    assert isolation(monkeypatch, vendor, **options) == []


@pytest.mark.parametrize(
    ("vendor", "level", "named"),
    [
        ("postgresql", IsolationLevel.REPEATABLE_READ, "REPEATABLE READ"),
        ("postgresql", int(IsolationLevel.SERIALIZABLE), "SERIALIZABLE"),
        ("mysql", "repeatable read", "REPEATABLE READ"),
        ("mysql", None, "OF ITS SERVER"),
    ],
)
def test_an_isolation_level_that_turns_races_into_errors_is_warned_of(monkeypatch, vendor, level, named):
    [(code, text, hint)] = isolation(monkeypatch, vendor, isolation_level=level)
    assert (code, named in text, "isolation_level" in hint) == ("django_ai.W003", True, True)


def test_every_id_is_documented(pytestconfig):
    page = (pytestconfig.rootpath / "docs" / "checks.md").read_text()
    sources = (pytestconfig.rootpath / "django_ai").rglob("*.py")
    ids = {code for path in sources for code in re.findall(r'"(django_ai\.[EW]\d+)"', path.read_text())}
    assert {"django_ai.E001", "django_ai.W002", "django_ai.E012"} <= ids
    assert [code for code in sorted(ids) if f"`{code}`" not in page] == []


class Approval(BaseModel):
    approved: bool
    by: str = ""


class TakesTooMuch:
    class Context(BaseModel):
        approved: bool = False

    @step(start=True)
    def fields(self):
        return wait("decision", fields=["aproved"], then=self.model)  # fields

    @step()
    def model(self):
        return wait("decision", payload=Approval, then=self.key)  # model

    @step()
    def key(self):
        return wait.for_event("paid", correlate="{approved.real}", then=self.sound)  # key

    @step()
    def sound(self):
        return wait("decision", fields=["approved"], correlate="{approved}", then=self.unknown)

    @step()
    def unknown(self):
        return wait("decision", fields=self.context.names)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fields", "takes 'aproved', which the Context does not declare. Did you mean 'approved'?"),
        ("model", "takes 'by', which the Context does not declare. It declares: approved."),
        ("key", "only names of context fields may stand in braces, such as {order_id}, not {approved.real}."),
    ],
)
def test_a_returned_wait_that_cannot_be_made_is_reported_with_its_line(name, reason):
    workflow("takes_too_much")(TakesTooMuch)
    texts = {text.split("'")[1]: text for code, text, _ in found(checks.check_workflows) if code == "django_ai.E013"}
    assert sorted(texts) == ["fields", "key", "model"]
    lines = inspect.getsource(inspect.getmodule(line_of)).splitlines()
    [number] = [number for number, line in enumerate(lines, 1) if line.endswith(f"# {name}")]
    assert texts[name].endswith(reason)
    assert f"({__file__}:{number})" in texts[name]


# Mistakes that the code of steps shows; test_mistakes has them all


def messages(check=checks.check_workflows):
    return [(code, text) for code, text, _ in found(check)]


def test_a_mistake_in_a_step_is_reported_with_its_line():
    @workflow("mistaken")
    class Mistaken:
        @step(start=True)
        def first(self):
            goto(self.first)  # lost
            return complete()

    place = line_of("goto(self.first)  # lost")
    [(code, text, hint)] = found(checks.check_workflows)
    assert (code, hint) == ("django_ai.E031", "Write return goto(…).")
    assert text == (
        f"Step 'first' of workflow 'mistaken' calls goto(…) and does not return it, so it has no effect ({place})."
    )


def test_each_kind_of_mistake_has_its_id():
    assert set(checks._MISTAKES) == set(MistakeKind)


def test_a_dataclass_above_the_workflow_is_reported():
    @dataclasses.dataclass
    @workflow("changed")
    class Changed:
        number: int

        @step(start=True)
        def first(self):
            return complete()

    [(code, text)] = messages()
    assert code == "django_ai.E035"
    assert "@dataclass makes an __init__ that needs number" in text


def test_events_that_nothing_brings_about_are_warned_of_with_the_nearest_name(monkeypatch):
    monkeypatch.setattr(names, "_sources", lambda: iter(()))

    @event_workflow("order_plaecd")  # started
    class Started:
        @step(start=True)
        def first(self):
            return wait_for_event("order_payd", then=self.second)  # returned

        @wait_for_event("order_placed")
        @step()
        def second(self):
            return goto(self.third)

        @wait_for_event("computed")
        @step()
        def third(self):  # decorated
            return complete()

    reported = found(checks.check_workflows)
    assert [code for code, _, _ in reported] == ["django_ai.W033"] * 3
    assert [hint for _, _, hint in reported] == [
        "Did you mean 'order_placed'?",
        "Declare it with EventDefinition(…), or emit it.",
        "Did you mean 'order_paid'?",
    ]
    assert line_of('@event_workflow("order_plaecd")  # started') in reported[0][1]
    assert "Step 'third' of workflow 'order_plaecd:Started' waits for event 'computed'" in reported[1][1]
    assert line_of('return wait_for_event("order_payd", then=self.second)  # returned') in reported[2][1]


def test_an_emitted_name_that_is_near_one_that_is_listened_to_is_warned_of(monkeypatch):
    @workflow("waits_for_payment")
    class Waits:
        @step(start=True)
        def first(self):
            return wait_for_event("payment_received")

    emitted = [names.Emitted("payment_recieved", "views.py:3"), names.Emitted("unrelated", "views.py:4")]
    monkeypatch.setattr(names, "emitted", lambda: [*emitted, names.Emitted("payment_received", "views.py:5")])
    [(code, text, hint)] = found(checks.check_emitted_events)
    assert (code, hint) == ("django_ai.W034", "Did you mean 'payment_received'?")
    assert "emit('payment_recieved')" in text
    assert "(views.py:3)" in text


class NeedsNumber(BaseModel):
    entity_id: str
    number: int


def needs_from(event, **body):
    event_workflow(event)(type("Needs", (), {"first": step(start=True)(lambda self: complete()), **body}))
    return messages()


def test_a_field_that_the_event_cannot_fill_is_reported(monkeypatch):
    [(code, text)] = needs_from("order_placed", Context=NeedsNumber)
    assert code == "django_ai.E036"
    assert "requires 'number', which event 'order_placed' does not have" in text


def test_a_field_that_the_event_s_data_may_fill_is_not_reported(monkeypatch):
    events = [EventDefinition("order_placed", data=lambda order: {"number": 5})]
    monkeypatch.setattr(Order, "events", events)
    assert needs_from("order_placed", Context=NeedsNumber) == []


def test_a_field_that_the_context_fills_in_itself_is_not_reported():
    class FillsIn(NeedsNumber):
        @model_validator(mode="before")
        @classmethod
        def fill_in(cls, given):
            return {"number": 5, **given}

    assert needs_from("order_placed", Context=FillsIn) == []


def test_create_context_fills_what_the_event_does_not_have():
    made = classmethod(lambda cls, event=None: cls.Context(entity_id="", number=5))
    assert needs_from("order_placed", Context=NeedsNumber, create_context=made) == []


def test_a_field_that_pydantic_never_writes_is_an_error():
    class Line(BaseModel):
        note: str = Field("", exclude=True)

    @workflow("leaves_out")
    class LeavesOut:
        class Context(BaseModel):
            lines: list[Line] = []
            total: int = 0

        @step(start=True)
        def begin(self):
            return complete()

    [(code, text, _)] = found(checks.check_workflows)
    assert code == "django_ai.E021"
    assert text.startswith("The field 'note' of the Context of workflow 'leaves_out' has exclude=True")


def test_fields_that_may_hold_unseen_secrets_are_named_by_the_deployment_check():
    @workflow("opaque")
    class Opaque:
        class Context(BaseModel):
            number: int = 0
            more: dict[str, Any] = {}
            told: Any = Field(None, json_schema_extra={"sensitive": False})

        @step(start=True)
        def only(self):
            return complete()

    @workflow("unreadable")
    class Unreadable:
        class Context(BaseModel):
            number: int = Field(0, json_schema_extra=lambda schema: schema["no such key"])

        @step(start=True)
        def only(self):
            return complete()

    texts = [text for code, text, _ in found(checks.check_secrets) if code == "django_ai.W012"]
    opaque = "In the Context of workflow 'opaque' anything may stand in more, so that no secret there is masked."
    unreadable = "No JSON schema can be made of the Context of workflow 'unreadable', so that all of it is masked."
    assert {text for text in texts if "'opaque'" in text or "'unreadable'" in text} == {opaque, unreadable}
    registered = django_checks.registry.registry.deployment_checks
    assert documentation.explained(checks.check_secrets) in registered


@pytest.mark.parametrize(
    ("use_tz", "zone", "warns"),
    [
        (True, "America/New_York", False),
        (False, "America/New_York", True),
        (False, "UTC", False),
        (False, "Asia/Tokyo", False),
        (False, None, True),
    ],
)
def test_local_times_whose_clock_is_changed_are_warned_of(monkeypatch, use_tz, zone, warns):
    monkeypatch.setattr(clock, "settings", SimpleNamespace(USE_TZ=use_tz, TIME_ZONE=zone))
    assert [code for code, *_ in found(clock.check_time_zone)] == ["django_ai.W004"] * warns
