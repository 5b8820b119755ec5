"""`manage.py workflows`: what it prints, what it does, and what it says where it cannot."""

import io
import json
import re
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from django.utils import timezone
from pydantic import BaseModel, SecretStr

from django_ai.automation.workflows import health
from django_ai.automation.workflows.core import Retry, complete, engine, fail, get_context, goto, step, wait, workflow
from django_ai.automation.workflows.health import Check, Grade, Report
from django_ai.automation.workflows.management import following, tables
from django_ai.automation.workflows.management.subcommands import health as health_command
from django_ai.automation.workflows.management.subcommands import list_runs
from django_ai.automation.workflows.models import Signal, WorkflowRun

from ..declared import declare_inquiry, reloaded

pytestmark = pytest.mark.django_db


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def call():
    """Call a subcommand; return its exit code, what it prints and what it says on the error stream."""

    def call(*words, terminal=False, **options):
        out, err = (Terminal(), Terminal()) if terminal else (io.StringIO(), io.StringIO())
        code = 0
        try:
            call_command("workflows", *map(str, words), stdout=out, stderr=err, **options)
        except SystemExit as leaving:
            code = leaving.code
        return code, out.getvalue(), err.getvalue()

    return call


@pytest.fixture
def refuses(call):
    """Call a subcommand that cannot do it, and return what it says."""

    def refuses(*words):
        with pytest.raises(CommandError) as refused:
            call(*words)
        return str(refused.value)

    return refuses


class Closed(io.StringIO):
    """A pipe whose reader has gone."""

    def write(self, text):
        raise BrokenPipeError

    def flush(self):
        raise BrokenPipeError


@pytest.fixture
def delivery():
    @workflow("delivery", default_retry=Retry(max_attempts=1))
    class Delivery:
        class Context(BaseModel):
            order_id: int
            note: str = ""
            tags: list[str] = []
            breaks: bool = False
            token: SecretStr = SecretStr("")

        @step(start=True)
        def pack(self):
            if get_context().breaks:
                raise OSError(f"no paper\nat all for {get_context().token.get_secret_value()}")
            return goto(self.hand_over, progress=0.5)

        @step()
        def hand_over(self):
            return wait("picked_up", then=self.arrive, timeout=timedelta(hours=1), on_timeout=self.give_up)

        @step()
        def arrive(self):
            return complete()

        @step()
        def give_up(self):
            return fail("nobody came")

    return Delivery


def declare_other():
    @workflow("other")
    class Other:
        @step(start=True)
        def begin(self):
            return wait("go")

    return Other


# list


def test_the_list_is_an_aligned_table_of_the_newest_runs(call, workflows, delivery):
    waiting, failed = engine.start(delivery, order_id=1), engine.start(delivery, order_id=2, breaks=True)
    workflows.drain()
    why, (code, printed, _) = "OSError: no paper", call("list")
    width = max(len(str(failed.pk)), len("ID"))
    assert code == 0
    width = max(2, len(str(failed.pk)))
    assert printed.splitlines() == [
        f"{'ID':>{width}}  WORKFLOW  STATUS     STEP       DONE  TRY  WAITS FOR                      AGE  ERROR",
        f"{failed.pk:>{width}}  delivery  failed     pack         0%                                      0 s  {why}",
        f"{waiting.pk:>{width}}  delivery  suspended  hand_over   50%       signal picked_up, at most 1 h  0 s",
    ]


def ids(printed):
    return [run["id"] for run in json.loads(printed)]


def test_the_list_can_be_narrowed(call, workflows, delivery):
    other = engine.using(tags=["eu"]).start(declare_other())
    failed, waiting = engine.start(delivery, order_id=1, breaks=True), engine.start(delivery, order_id=2)
    workflows.drain()
    WorkflowRun.objects.filter(pk=waiting.pk).update(created_at=timezone.now() - timedelta(days=3))
    for words, found in [
        (["--status", "failed"], [failed]),
        (["--status", "failed", "--status", "suspended"], [waiting, failed, other]),
        (["--workflow", "other"], [other]),
        (["--tag", "eu"], [other]),
        (["--since", "2d"], [failed, other]),
        (["--since", (timezone.now() - timedelta(days=4)).date().isoformat()], [waiting, failed, other]),
        (["--limit", "1"], [waiting]),
        (["--limit", "0"], [waiting, failed, other]),
        (["--stuck"], []),
    ]:
        _, printed, _ = call("list", "--json", *words)
        expected = sorted((run.pk for run in found), reverse=True)[: 1 if words == ["--limit", "1"] else None]
        assert ids(printed) == expected, words


def test_the_list_finds_what_is_stuck(call, delivery):
    stuck = engine.start(delivery, order_id=1)
    WorkflowRun.objects.update(updated_at=timezone.now() - timedelta(hours=1))
    engine.start(delivery, order_id=2)
    assert ids(call("list", "--stuck", "--json")[1]) == [stuck.pk]


def test_the_list_says_that_there_are_more(call, delivery):
    for number in range(3):
        engine.start(delivery, order_id=number)
    _, printed, said = call("list", "--limit", "2")
    assert len(printed.splitlines()) == 3
    assert "more than 2" in said


def test_an_empty_list_is_no_table(call):
    assert call("list") == (0, "", "No run is like that.\n")
    assert json.loads(call("list", "--json")[1]) == []


def test_a_list_costs_one_query_however_long_it_is(call, delivery, django_assert_num_queries):
    for number in range(15):
        engine.start(delivery, order_id=number)
    with django_assert_num_queries(1):
        call("list")


def test_colours_are_for_terminals(call, workflows, delivery):
    engine.start(delivery, order_id=1, breaks=True)
    workflows.drain()
    assert "\033[" not in call("list")[1]
    assert "\033[31" in call("list", force_color=True)[1]
    assert "\033[" not in call("list", "--no-color", terminal=True)[1]
    assert "\033[" in call("list", "--force-color")[1]


def test_a_line_ends_where_the_terminal_ends(call, workflows, delivery, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    engine.start(delivery, order_id=1, breaks=True, note="x")
    workflows.drain()
    WorkflowRun.objects.update(error="a long story " * 20)
    lines = call("list", "--no-color", terminal=True)[1].splitlines()
    assert max(map(len, lines)) <= 70
    assert lines[-1].endswith("…")
    assert len(call("list")[1].splitlines()[-1]) > 200


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--since", "soon"], "'soon' is no time. Write 30m, 2h, 7d, or a date"),
        (["--since", "2027-02-31"], "'2027-02-31': day"),
        (["--since", "0001-01-01T00:00:00+14:00"], "date value out of range"),
        (["--since", "99999999999d"], "--since: '99999999999d'"),
        (["--since", "9" * 400 + "h"], "cannot convert float infinity"),
        (["--workflow", "delivry"], "Did you mean 'delivery'?"),
        (["--limit", "-1"], "--limit must be 0 or more."),
        (["--status", "asleep"], "invalid choice: 'asleep'"),
    ],
)
def test_a_wrong_filter_is_explained(refuses, delivery, words, reason):
    assert reason in refuses("list", *words)


# show


def test_a_run_is_shown_with_all_it_has_been_through(call, workflows, delivery):
    run = engine.using(idempotency_key="order-7", tags=["eu"]).start(delivery, order_id=7)
    workflows.drain()
    engine.signal("picked_up", run=run)
    engine.signal("picked_up", run=run)
    workflows.drain()
    _, printed, _ = call("show", run.pk)
    for words in (
        f"delivery #{run.pk} is completed",
        "[########################] 100%",
        "key       order-7",
        "tags      eu",
        '"order_id": 7',
        "wait for signal picked_up  answered",
    ):
        assert words in printed
    assert [line.split()[1:4] for line in printed.splitlines() if re.match(r" ?\d+  ", line)] == [
        ["pack", "step", "completed"],
        ["hand_over", "step", "completed"],
        ["hand_over", "wait", "for"],
        ["arrive", "step", "completed"],
    ]


def test_a_run_is_shown_as_json(call, workflows, delivery):
    run = engine.start(delivery, order_id=7, breaks=True)
    workflows.drain()
    data = json.loads(call("show", run.pk, "--json")[1])
    assert (data["id"], data["status"], data["context"]["order_id"]) == (run.pk, "failed", 7)
    assert [(item["step"], item["outcome"]) for item in data["history"]] == [("pack", "failed")]


def test_secrets_are_not_printed(call, workflows, delivery):
    run = engine.start(delivery, order_id=7, breaks=True, token="s3cret-token")
    workflows.drain()
    assert "s3cret-token" not in reloaded(run).error
    for words in PRINTED:
        assert "s3cret-token" not in call(*words(run.pk))[1]


PRINTED = (
    lambda pk: ["list"],
    lambda pk: ["list", "--json"],
    lambda pk: ["show", pk, "--traceback-of-steps"],
    lambda pk: ["show", pk, "--json"],
)


def test_secrets_in_rows_of_earlier_versions_are_not_printed(call, workflows, delivery):
    parent = engine.start(delivery, order_id=1)
    run = engine.start(delivery, order_id=7, token="s3cret-token")
    workflows.drain()
    told = "cannot use s3cret-token"
    failure = {"attempt": 1, "error": told, "traceback": told, "at": run.created_at.isoformat()}
    WorkflowRun.objects.filter(pk=run.pk).update(error=told, failures=[failure], parent_run=parent)
    sent = {"created_at": run.created_at, "state": "rejected", "error": told}
    Signal.objects.create(run_id=run.pk, kind="signal", name="picked_up", payload={}, **sent)
    for pk in (run.pk, parent.pk):
        for words in PRINTED:
            assert "s3cret-token" not in call(*words(pk))[1]


def test_tracebacks_are_shown_to_those_who_ask(call, workflows, delivery):
    run = engine.start(delivery, order_id=7, breaks=True)
    workflows.drain()
    assert "in pack" not in call("show", run.pk)[1]
    assert "in pack" in call("show", run.pk, "--traceback-of-steps")[1]


def test_a_run_is_found_by_its_key(call, delivery):
    run = engine.using(idempotency_key="order-7").start(delivery, order_id=7)
    assert json.loads(call("show", "order-7", "--json")[1])["id"] == run.pk
    assert json.loads(call("show", f"#{run.pk}", "--json")[1])["id"] == run.pk


def test_a_run_that_is_not_there_or_not_alone_is_explained(refuses, delivery):
    assert "no run with the id or the idempotency key '4711'" in refuses("show", "4711")
    assert "no run with the id or the idempotency key '9999" in refuses("show", "9" * 5_000)
    assert "no run" in refuses("show", "9" * 30)
    first = engine.using(idempotency_key="same").start(delivery, order_id=7)
    second = engine.using(idempotency_key="same").start(declare_other())
    said = refuses("show", "same")
    assert f"#{first.pk} of delivery, #{second.pk} of other" in said


# start


@pytest.fixture
def at_work(workflows, monkeypatch):
    """While the command sleeps workers work, and somebody picks up what waits."""

    def work(seconds):
        workflows.drain()
        engine.signal("picked_up")

    monkeypatch.setattr(following, "sleep", work)
    monkeypatch.setattr(following, "close_old_connections", lambda: None)


def test_a_run_is_started_with_fields_of_all_kinds(call, delivery, django_user_model):
    ann = django_user_model.objects.create_user("ann")
    code, printed, _ = call(
        "start", "delivery", "order_id=7", "note=0012 = x", 'tags:=["a", "b"]', "--context", '{"breaks": false}',
        "--key", "k1", "--tag", "eu", "--owner", "ann", "--json",
    )  # fmt: skip
    run = WorkflowRun.objects.get()
    assert (code, json.loads(printed)["id"]) == (0, run.pk)
    assert {name: run.data[name] for name in ("order_id", "note", "tags")} == {
        "order_id": 7, "note": "0012 = x", "tags": ["a", "b"],
    }  # fmt: skip
    assert (run.idempotency_key, run.owner_id, run.tags.get().name) == ("k1", ann.pk, "eu")
    call("start", "delivery", "order_id=8", "--key", "k1")
    assert WorkflowRun.objects.count() == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["delivry", "order_id=1"], "Did you mean 'delivery'? The workflows are:"),
        (["delivery"], "order_id: Field required"),
        (["delivery", "order_id=many"], "order_id: Input should be a valid integer"),
        (["delivery", "order_id"], "'order_id' is no field. Write key=text, or key:=JSON"),
        (["delivery", "order_id=1", "order_id=2"], "The field 'order_id' is given twice."),
        (["delivery", "order_id=1", "--context", '{"order_id": 2}'], "order_id: given twice"),
        (["delivery", "--context", "{'order_id': 1}"], "--context is no JSON: Expecting property name"),
        (["delivery", "--context", "[1]"], "--context takes a JSON object"),
        (["delivery", "tags:=[a]"], "tags is no JSON: Expecting value at character 2"),
        (["delivery", "order_id=1", "--owner", "nobody"], "--owner: there is no user 'nobody'."),
        (["delivery", "order_id=1", "--owner", ""], "--owner: there is no user ''."),
        (["delivery", "order_id=1", "--workflow-version", "9"], "'9'"),
    ],
)
def test_a_start_that_cannot_be_is_explained_and_starts_nothing(refuses, delivery, words, reason):
    assert reason in refuses("start", *words)
    assert not WorkflowRun.objects.exists()


@pytest.mark.parametrize(
    ("fields", "code", "printed"),
    [
        (["order_id=1"], 0, "completed at arrive"),
        (["order_id=1", "breaks=true"], 1, "failed at pack: OSError: no paper"),
    ],
)
@pytest.mark.usefixtures("delivery", "at_work")
def test_a_run_is_followed_to_its_end(call, fields, code, printed):
    ended, out, said = call("start", "delivery", *fields, "--wait")
    assert (ended, printed in out) == (code, True)
    assert "  0% delivery" in said
    drawn = call("start", "delivery", *fields, "--wait", "--timeout", "0", terminal=True)[2]
    assert "[------------------------]   0% delivery" in drawn


def test_who_follows_waits_no_longer_than_told(call, delivery):
    code, printed, _ = call("start", "delivery", "order_id=1", "--wait", "--timeout", "0")
    assert code == 3
    assert "is running at pack" in printed


def test_an_interrupted_watcher_leaves_the_run_alone(call, delivery, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(following, "sleep", interrupt)
    code, _, said = call("start", "delivery", "order_id=1", "--wait")
    assert code == 130
    assert "goes on without being watched" in said
    assert WorkflowRun.objects.get().status == "running"


# signal


def test_a_signal_is_sent_to_one_run_or_to_all_that_wait(call, workflows, delivery):
    runs = [engine.start(delivery, order_id=number) for number in range(3)]
    workflows.drain()
    assert call("signal", "picked_up", "note=by Bo", "--run", runs[0].pk)[:2] == (
        0,
        f"Handed to delivery #{runs[0].pk}.\n",
    )
    workflows.drain()
    assert (reloaded(runs[0]).status, reloaded(runs[0]).data["note"]) == ("completed", "by Bo")
    code, printed, _ = call("signal", "picked_up", "--payload", '{"note": "all"}', "--json")
    assert (code, json.loads(printed)) == (0, {"signal": "picked_up", "runs": 2})


def test_a_signal_that_nobody_waits_for_is_told(call, delivery):
    code, printed, _ = call("signal", "picked_up")
    assert (code, printed) == (1, "No run waits for the signal 'picked_up' now.\n")


def test_a_signal_that_fits_nobody_is_explained(refuses, workflows, delivery):
    run = engine.start(delivery, order_id=1)
    workflows.drain()
    assert f"run #{run.pk}: " in refuses("signal", "picked_up", "order_id=x", "--run", run.pk)
    assert "exclude one another" in refuses("signal", "picked_up", "--run", run.pk, "--correlate", "a")


def test_a_signal_reaches_those_that_wait_with_its_key(call, workflows):
    inquiry = declare_inquiry(correlate="{key}")
    engine.start(inquiry, key="a")
    engine.start(inquiry, key="b")
    workflows.drain()
    assert json.loads(call("signal", "answer", "--correlate", "a", "--json")[1])["runs"] == 1


class Decision(BaseModel):
    approved: bool
    note: str = ""


def declare_decision(**options):
    @workflow("decides")
    class Decides:
        class Context(BaseModel):
            approved: bool = False
            note: str = ""

        @step(start=True)
        def ask(self):
            return wait("decision", then=self.again, **options)

        @step()
        def again(self):
            return wait("decision")

    return Decides


def test_what_a_signal_may_bring_is_shown_and_anything_else_refused(call, refuses, workflows):
    run = engine.start(declare_decision(payload=Decision))
    workflows.drain()
    assert "takes      approved (bool), note (str, optional)" in call("show", run.pk)[1]
    told = refuses("signal", "decision", "approve:=true", "--run", run.pk)
    assert f"run #{run.pk}: approved: Field required" in told
    assert "Did you mean 'approved'?" in told
    assert "Did you mean 'decision'?" in refuses("signal", "decison", "--run", run.pk)


def test_a_signal_is_sent_once_for_each_key_and_only_to_a_run_that_waits(call, workflows):
    run = engine.start(declare_decision(fields=[]))
    there = ("signal", "decision", "--run", run.pk, "--only-if-waiting", "--key", "click")
    assert call(*there)[0] == 1
    workflows.drain()
    assert call(*there)[0] == 0
    workflows.drain()
    code, printed, _ = call(*there)
    not_sent = f"Not sent: decides #{run.pk} does not wait for the signal 'decision' now, or has had one with the key"
    assert (code, printed) == (1, f"{not_sent} 'click'.\n")
    assert call("signal", "decision", "--key", "click")[0] == 1
    assert reloaded(run).current_step == "again"


def test_a_signal_of_an_event_s_name_leads_to_emit(call, workflows):
    @workflow("listens")
    class Listens:
        @step(start=True)
        def only(self):
            return wait.for_event("paid")

    engine.start(Listens)
    workflows.drain()
    assert "call emit('paid')" in call("signal", "paid")[1]


# cancel and retry


def test_runs_are_cancelled_and_taken_up_again_by_name(call, workflows, delivery):
    failed, waiting = engine.start(delivery, order_id=1, breaks=True), engine.start(delivery, order_id=2)
    workflows.drain()
    code, printed, _ = call("retry", failed.pk)
    assert (code, printed) == (0, "1 run taken up again.\n")
    assert reloaded(failed).status == "running"
    code, printed, _ = call("cancel", failed.pk, waiting.pk, "--reason", "sold out")
    assert (code, printed) == (0, "2 runs cancelled.\n")
    assert (reloaded(waiting).status, reloaded(waiting).error) == ("cancelled", "sold out")
    code, printed, _ = call("cancel", waiting.pk)
    assert (code, printed) == (1, f"#{waiting.pk}: A run that is cancelled cannot be cancelled.\n")


def test_all_runs_of_a_choice_are_done_and_no_others(call, workflows, delivery):
    failed = [engine.start(delivery, order_id=number, breaks=True) for number in range(3)]
    fine = engine.start(delivery, order_id=9)
    workflows.drain()
    code, printed, _ = call("retry", "--all", "--workflow", "delivery", "--no-input", "--json")
    assert (code, json.loads(printed)) == (0, {"done": [run.pk for run in failed], "refused": {}})
    assert reloaded(fine).status == "suspended"
    drawn = call("cancel", "--all", "--status", "running", "--no-input", terminal=True)[2]
    assert "[########################] 100% 3 of 3" in drawn
    assert reloaded(fine).status == "suspended"


def test_one_asks_before_many_are_changed(refuses, call, delivery, monkeypatch):
    run = engine.start(delivery, order_id=1)
    questions = []
    monkeypatch.setattr("builtins.input", lambda question: questions.append(question) or "n")
    assert refuses("cancel", "--all") == "Nothing was done."
    assert questions == ["Cancel 1 run? [y/N] "]
    assert reloaded(run).status == "running"
    monkeypatch.setattr("builtins.input", lambda question: "y")
    call("cancel", "--all")
    assert reloaded(run).status == "cancelled"


def test_without_anybody_to_ask_nothing_is_done(refuses, delivery, monkeypatch):
    def nobody(question):
        raise EOFError

    engine.start(delivery, order_id=1)
    monkeypatch.setattr("builtins.input", nobody)
    assert "say --no-input" in refuses("cancel", "--all")


def test_neither_nothing_nor_everything_is_meant_by_silence(refuses, delivery):
    run = engine.start(delivery, order_id=1)
    assert "Name the runs, or choose them with --all" in refuses("cancel")
    assert "Name the runs, or choose them with --all" in refuses("cancel", run.pk, "--all")


# graph


def test_a_graph_is_mermaid_text(call, delivery):
    _, printed, _ = call("graph", "delivery")
    lines = printed.splitlines()
    assert lines[0] == "flowchart TD"
    assert '    s0["pack"]' in lines
    assert "    start(( )) --> s0" in lines
    assert "    s0 --> s1" in lines
    assert '    s1 -->|"picked_up"| s2' in lines
    assert '    s1 -->|"time-out"| s3' in lines
    assert '    s2 --> s2_completed(["completed"])' in lines


def test_the_way_of_a_run_is_coloured(call, workflows, delivery):
    run = engine.start(delivery, order_id=1)
    workflows.drain()
    _, printed, _ = call("graph", "--run", run.pk)
    assert "    s0 ==> s1" in printed
    assert "    class s0 done" in printed
    assert "    class s1 waiting" in printed
    engine.signal("picked_up", run=run)
    workflows.drain()
    assert "    class s0,s1,s2 done" in call("graph", "--run", run.pk)[1]


def test_a_graph_is_a_picture(call, workflows, delivery, tmp_path):
    run = engine.start(delivery, order_id=1)
    workflows.drain()
    file = tmp_path / "delivery.svg"
    _, printed, said = call("graph", "--run", run.pk, "--format", "svg", "--output", file)
    assert (printed, said) == ("", f"Written to {file}.\n")
    assert file.read_text().startswith("<svg xmlns=")
    assert "wf-node--waiting" in file.read_text()


def test_a_graph_that_cannot_be_drawn_is_explained(refuses, delivery, tmp_path):
    assert refuses("graph") == "Name a workflow, or a run with --run."
    assert "Did you mean 'delivery'" in refuses("graph", "delivry")
    assert "--output: " in refuses("graph", "delivery", "--output", tmp_path / "no" / "file")
    run = engine.start(delivery, order_id=1)
    WorkflowRun.objects.update(name="gone")
    assert "no longer has the workflow" in refuses("graph", "--run", run.pk)


# health


@pytest.mark.parametrize("grade", list(Grade))
def test_the_exit_code_is_the_grade(call, monkeypatch, grade):
    check = Check(name="beat", grade=grade, value="last tick 2 s ago", advice="Start beat" if grade else "")
    monkeypatch.setattr(health_command, "report", lambda: Report(checks=(check,)))
    code, printed, _ = call("health")
    assert code == grade.value
    assert printed.splitlines()[:2] == ["CHECK  STATUS  MEASURED", f"beat   {grade.label:<6}  last tick 2 s ago"]
    assert ("What to do" in printed) == bool(grade)
    code, printed, _ = call("health", "--json")
    assert (code, json.loads(printed)["status"]) == (grade.value, grade.label)


def test_health_is_measured(call):
    code, printed, _ = call("health", "--json")
    assert code == 2  # nothing runs here
    assert {check["name"] for check in json.loads(printed)["checks"]} >= {"beat", "scheduler", "workers of celery"}
    assert health.report().grade is Grade.FAIL


# cleanup


def test_what_is_old_enough_is_deleted(call, workflows, delivery):
    old, kept = engine.start(delivery, order_id=1), engine.start(delivery, order_id=2)
    engine.cancel(old)
    WorkflowRun.objects.filter(pk=old.pk).update(finished_at=timezone.now() - timedelta(days=100))
    assert call("cleanup", "--before", "90d", "--dry-run")[1] == "1 run and 0 events would be deleted.\n"
    assert WorkflowRun.objects.count() == 2
    code, printed, _ = call("cleanup", "--before", "90d", "--json")
    assert (code, json.loads(printed)) == (0, {"runs": 1, "events": 0, "kept": 0, "dry_run": False})
    assert WorkflowRun.objects.get() == kept


def test_what_is_kept_for_ever_is_not_deleted_by_mistake(refuses):
    assert "Nothing says how long runs are kept" in refuses("cleanup")
    assert "--batch-size must be 1 or more." in refuses("cleanup", "--before", "90d", "--batch-size", "0")


# all


def test_a_subcommand_is_needed_and_known(refuses):
    assert "subcommand" in refuses()
    assert "invalid choice: 'lst'" in refuses("lst")


@pytest.mark.parametrize(
    "words",
    [
        "start delivery order_id=7 note=here --key a --tag b",
        "start --key a --tag b delivery order_id=7 note=here",
        "start delivery --key a order_id=7 --tag b note=here",
        "start delivery order_id=7 --key a note=here --tag b",
        "start --tag b delivery --key a order_id=7 note=here",
    ],
)
def test_options_and_fields_of_a_start_stand_in_any_order(call, delivery, words):
    code, _, _ = call(*words.split())
    run = WorkflowRun.objects.get()
    assert (code, run.idempotency_key, [tag.name for tag in run.tags.all()]) == (0, "a", ["b"])
    assert (run.data["order_id"], run.data["note"]) == (7, "here")


@pytest.mark.parametrize("words", ["start delivery order_id=7 --kee a", "start --kee a delivery order_id=7"])
def test_an_unknown_option_is_refused_wherever_it_stands(refuses, delivery, words):
    assert "--kee" in refuses(*words.split())


@pytest.mark.parametrize("words", ["list", "show {run}", "list --json", "health", "graph delivery"])
def test_a_subcommand_whose_reader_has_gone_ends_quietly(delivery, words):
    run = engine.start(delivery, order_id=7)
    with pytest.raises(SystemExit) as ended:
        call_command("workflows", *words.format(run=run.pk).split(), stdout=Closed(), stderr=io.StringIO())
    assert ended.value.code == 141


def test_a_database_error_that_a_migration_does_not_explain_is_shown_as_it_is(delivery, monkeypatch):
    def fails(self, **options):
        raise DatabaseError("the disk is full")

    monkeypatch.setattr(list_runs.ListRuns, "handle", fails)
    with pytest.raises(DatabaseError, match="the disk is full"):
        call_command("workflows", "list")
    monkeypatch.setattr(tables, "are_missing", lambda: True)
    with pytest.raises(CommandError, match=r"manage\.py migrate"):
        call_command("workflows", "list")


def test_no_migration_is_missing_where_all_have_run():
    assert not tables.are_missing()
