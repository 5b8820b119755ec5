"""A project says which runs a member of the staff may know of; of the others there is no trace in the admin."""

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Q
from django.utils import timezone
from pydantic import BaseModel

from django_ai.automation.events.models import Event
from django_ai.automation.workflows.core import complete, engine, goto, run_subflow, sleep, step, workflow
from django_ai.automation.workflows.http.checks import check_visibility
from django_ai.automation.workflows.models import WorkflowRun

from .conftest import LIST, doing, page
from .test_bulk import choose, confirm

WORKFLOWS = "/admin/django_ai_workflows/workflow/"


def own_only(request):
    return Q(owner=request.user)


def own_by_group(request):
    """As own_only, by a join that finds a run several times."""
    return Q(owner=request.user) & (Q(tags__name="one") | Q(tags__name="two"))


def own_as_queryset(request):
    return WorkflowRun.objects.filter(owner=request.user)


@pytest.fixture(params=["own_only", "own_by_group", "own_as_queryset"])
def tenants(request, settings):
    settings.DJANGO_AI = {"RUNS_VISIBLE_TO": f"{__name__}.{request.param}"}


@pytest.fixture
def visit():
    @workflow("tenancy")
    class Visit:
        class Context(BaseModel):
            secret_word: str = ""

        @step(start=True)
        def begin(self):
            return run_subflow(Child, on_complete=self.end) if self.context.secret_word == "parent" else sleep(60)

        @step()
        def end(self, subflow_result):
            return complete()

    @workflow("tenancy_child")
    class Child:
        @step(start=True)
        def begin(self):
            return goto(self.rest)

        @step()
        def rest(self):
            return sleep(60)

    return Visit


@pytest.fixture
def theirs(visit, workflows, db):
    """A parent, its child and a lonely run that belong to somebody else."""
    other = get_user_model().objects.create_superuser("other")
    start = engine.using(owner=other, tags=["one", "two", "blue"]).start
    runs = [start(visit, secret_word="parent"), start(visit, secret_word="aunt")]
    workflows.drain()
    return [*runs, WorkflowRun.objects.get(parent_run=runs[0])]


@pytest.fixture
def mine(visit, workflows, chief):
    run = engine.using(owner=chief.user, tags=["one", "two"]).start(visit)
    workflows.drain()
    return run


@pytest.mark.usefixtures("tenants", "theirs", "mine")
def test_the_list_its_counts_and_its_search_know_the_own_runs_alone(mine, theirs, chief):
    for query in ("", "?status=suspended", "?q=blue", "?q=tag:blue", "?q=secret_word=aunt", f"?q={theirs[0].pk}"):
        response = chief.get(LIST + query)
        assert set(response.context["cl"].result_list) <= {mine}, query
        assert {count for _, count, _ in response.context["counts"]} == {"0", "1"}
    assert list(chief.get(LIST).context["cl"].result_list) == [mine]


@pytest.mark.usefixtures("tenants")
def test_no_page_of_a_foreign_run_is_there(mine, theirs, chief):
    for run in theirs:
        addresses = [page(run), doing(run, "cancel"), f"{LIST}{run.pk}/live/", f"{LIST}{run.pk}/history/"]
        assert [chief.get(address).status_code in (302, 404) for address in addresses] == [True] * 4
        assert chief.post(doing(run, "cancel"), {"reason": "x"}).status_code == 404
    assert chief.get(page(mine)).status_code == 200


@pytest.mark.usefixtures("tenants")
def test_bulk_actions_move_the_own_runs_alone(mine, theirs, chief):
    asked = choose(chief, "cancel", [mine, *theirs])
    assert asked.context["form"].initial["total"] == "1"
    ids = ",".join(str(run.pk) for run in [mine, *theirs])
    for tampered in ({"ids": ids}, {"ids": "", "query": ""}):
        confirm(chief, asked, **tampered)
    statuses = dict(WorkflowRun.objects.values_list("pk", "status"))
    assert [statuses[run.pk] for run in [mine, *theirs]] == ["cancelled", *["suspended"] * 3]


@pytest.mark.usefixtures("tenants", "mine", "theirs")
def test_statistics_count_the_own_runs_alone(chief):
    response = chief.get(WORKFLOWS)
    counts = {item.name: [count for _, count, _ in item.counts] for item in response.context["lines"]}
    assert (counts["tenancy"], counts["tenancy_child"]) == (["0", "1", "0"], ["0", "0", "0"])
    assert [(name, count) for name, *_, count, _ in response.context["waiting"]] == [("tenancy", 1)]
    child = chief.get(f"{WORKFLOWS}tenancy_child/change/").context
    assert [line.waiting for line in child["steps"]] == [0, 0]


@pytest.mark.usefixtures("tenants")
def test_relatives_of_a_run_that_are_foreign_are_not_shown(mine, theirs, chief):
    _, aunt, child = theirs
    mine.child_runs.set([aunt])
    WorkflowRun.objects.filter(pk=mine.pk).update(parent_run=child)
    shown = chief.get(page(mine)).context
    assert (shown["children"].rows, shown["children"].count, list(shown["ancestors"])) == ([], 0, [])


@pytest.mark.usefixtures("tenants")
def test_the_page_of_an_event_shows_no_foreign_run(mine, theirs, chief):
    event = Event.objects.create(name="came", entity_type="", entity_id="", at=timezone.now(), armed_at=timezone.now())
    for run in (mine, theirs[1]):
        WorkflowRun.objects.filter(pk=run.pk).update(triggered_by_event_id=event.pk, name=f"tenancy_{run.pk}")
    body = chief.get(f"/admin/django_ai_events/event/{event.pk}/change/").content.decode()
    assert (f"tenancy_{mine.pk}" in body, f"tenancy_{theirs[1].pk}" in body) == (True, False)


def test_without_such_a_function_permissions_alone_decide(mine, theirs, chief):
    assert len(chief.get(LIST).context["cl"].result_list) == 4


async def late(request):
    return Q()


def nothing(request):
    return None


@pytest.mark.parametrize("path", ["late", "missing", "LIST"])
def test_a_function_that_cannot_be_asked_is_found_by_a_check(path, settings):
    assert check_visibility(None) == []
    settings.DJANGO_AI = {"RUNS_VISIBLE_TO": f"{__name__}.{path}"}
    assert [message.id for message in check_visibility(None)] == ["django_ai.E043"]


@pytest.mark.parametrize("path", ["late", "nothing", "missing"])
def test_a_function_without_an_answer_shows_nothing(path, settings, mine, chief):
    settings.DJANGO_AI = {"RUNS_VISIBLE_TO": f"{__name__}.{path}"}
    with pytest.raises(ImproperlyConfigured, match=r"RUNS_VISIBLE_TO|must return a queryset"):
        chief.get(page(mine))
