"""`manage.py check` says what is wrong with workflows and their surroundings, and where."""

import importlib
import inspect
import re
import sys

import pytest
from django.apps import apps
from django.core import checks as django_checks
from django.db.backends.postgresql.psycopg_any import IsolationLevel
from django.db.backends.sqlite3.base import DatabaseWrapper
from pydantic import BaseModel

from django_ai.automation import broker, conf, documentation
from django_ai.automation.workflows import checks
from django_ai.automation.workflows.core import complete, engine, goto, run_subflow, sleep, step, wait, workflow
from django_ai.automation.workflows.exceptions import NoStartStep
from tests.settings_databases import SQLITE_OPTIONS

STEPLESS = '@workflow("stepless")'


def found(check, app_configs=None):
    return [(message.id, message.msg, message.hint) for message in check(app_configs)]


def line_of(text):
    lines = inspect.getsource(inspect.getmodule(line_of)).splitlines()
    [number] = [number for number, line in enumerate(lines, 1) if line.strip() == text]
    return f"{__file__}:{number}"


@pytest.mark.parametrize(
    "check", [conf.check_settings, broker.check_celery, checks.check_workflows, checks.check_sqlite]
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
