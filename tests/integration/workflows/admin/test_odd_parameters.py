"""Nothing that a person types into an address or a form reads what is masked, or ends in an error page."""

import json
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse
from pydantic import BaseModel, Field, SecretStr

from django_ai.automation.events import emit
from django_ai.automation.events.models import Event
from django_ai.automation.workflows.core import complete, engine, step, wait, workflow
from django_ai.automation.workflows.models import WorkflowRun

from .conftest import LIST, SECRET, doing, page

EVENTS = "/admin/django_ai_events/event/"
WORKFLOWS = "/admin/django_ai_workflows/workflow/"
HEALTH = "/admin/django_ai_workflows/pulse/"
FINE = {200, 302, 400, 403, 404}

ODD = {
    "nul": "\0",
    "nul inside": "a\0b",
    "many digits": "9" * 5_000,
    "many digits below the limit": "9" * 900,
    "a number that no row has": "9" * 20,
    "line breaks": "a\r\nSet-Cookie: b=c",
    "a regular expression": "(a+)+$",
    "an open bracket": "(",
    "a quote": "'\"",
    "a percent": "%s%d%",
    "a surrogate": "\\ud800",
    "deep JSON": "[" * 20_000,
    "deep JSON below the limit": "[" * 400 + "]" * 400,
    "a minus": "-1",
    "not a number": "nan",
    "infinity": "1e999",
    "a bad date": "2024-02-30",
    "the end of the calendar": "9999-12-31T23:59:59Z",
    "its beginning": "0001-01-01",
    "no date at all": "0000-00-00",
    "long": "x" * 100_000,
    "not ASCII": "é\N{PILE OF POO}\N{SUPERSCRIPT TWO}",
    "empty": "",
}
OF_RUNS = (
    *("q", "status", "workflow", "version", "step", "waits", "stuck", "started", "reach", "p", "o", "all", "e"),
    *("_facets", "_popup", "_to_field", "_changelist_filters", "pk", "id", "pk__in", "name", "unknown"),
)
OF_EVENTS = (
    *("q", "status__exact", "failed", "name", "at__gte", "at__lt", "at__isnull", "p", "o", "all", "e", "at__year"),
    *("_facets", "_popup", "_to_field", "_changelist_filters", "pk", "unknown"),
)


@pytest.fixture
def robust(chief):
    """A client that may do all, and gets an error page where the server fails."""
    client = Client(raise_request_exception=False)
    client.force_login(chief.user)
    return client


@pytest.fixture
def vault(workflows):
    @workflow("vault")
    class Vault:
        class Context(BaseModel):
            class Wallet(BaseModel):
                number: SecretStr = SecretStr("5500-0000")
                bank: str = "north"

            combination: str = Field("left-right-left", json_schema_extra={"sensitive": True})
            code: SecretStr = SecretStr(SECRET)
            wallet: Wallet = Wallet()
            owner: str = "Ada"
            weight: float = 1.5
            shelves: list[int] = [1, 2]

        @step(start=True)
        def only(self):
            return wait.for_signal("open", then=self.end)

        @step()
        def end(self):
            return complete()

    run = engine.start("vault")
    workflows.drain()
    return run


def statuses(client, addresses):
    """Return the addresses that were not answered as they should."""
    found = {address[:100]: client.get(address).status_code for address in addresses}
    return {address: status for address, status in found.items() if status not in FINE}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_parameter_of_a_list_is_answered(robust, vault, odd):
    runs = [f"{LIST}?{urlencode({name: ODD[odd]})}" for name in OF_RUNS]
    events = [f"{EVENTS}?{urlencode({name: ODD[odd]})}" for name in OF_EVENTS]
    searches = [f"{LIST}?{urlencode({'q': before + ODD[odd]})}" for before in ("tag:", "owner=", "weight=", "#", "=")]
    fields = [f"{LIST}?{urlencode({'q': ODD[odd] + '=1'})}", f"{LIST}?{urlencode({ODD[odd] or 'x': '1'})}"]
    assert statuses(robust, [*runs, *events, *searches, *fields]) == {}


@pytest.mark.parametrize(
    "odd", ["NaN", "Infinity", "1e999", '"\\u0000"', '"\\ud800"', "1" * 400, '{"a": "\\u0000"}', "-0"]
)
def test_an_odd_json_value_is_searched_for(robust, vault, odd):
    assert robust.get(f"{LIST}?{urlencode({'q': f'weight={odd}'})}").status_code == 200


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_address_of_a_page_is_answered(robust, vault, odd):
    quoted = urlencode({"": ODD[odd]})[1:]
    base = page(vault).removesuffix(f"{vault.pk}/change/")
    inside = [f"{quoted}/change/", f"{quoted}/live/", f"{quoted}/do/retry/", f"{quoted}/history/", f"{quoted}/delete/"]
    runs = [f"{base}{path}" for path in inside]
    verbs = [f"{base}{vault.pk}/do/{quoted}/", f"{base}bulk/{quoted}/"]
    others = [f"{EVENTS}{quoted}/change/", f"{WORKFLOWS}{quoted}/change/", f"{WORKFLOWS}vault/change/?version={quoted}"]
    plain = [
        f"{address}?{urlencode({'a': ODD[odd]})}" for address in (page(vault), WORKFLOWS, HEALTH, doing(vault, "edit"))
    ]
    assert statuses(robust, [*runs, *verbs, *others, *plain]) == {}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_value_in_a_dialog_is_answered(robust, vault, odd):
    value, found = ODD[odd], {}
    forms = {
        "edit": ("context_owner", "context_weight", "context_shelves", "context_wallet", "context_code"),
        "signal": ("name", "context_owner", "context_weight", "context_combination"),
        "cancel": ("csrfmiddlewaretoken",),
        "restart": ("sequence",),
        "retry": ("a",),
    }
    for verb, fields in forms.items():
        for field in fields:
            given = {"name": "open", "context_owner": "Bob", field: value}
            found[verb, field] = robust.post(doing(vault, verb), given).status_code
            found[verb, field, "link"] = robust.get(f"{doing(vault, verb)}?{urlencode({field: value})}").status_code
    assert {what: status for what, status in found.items() if status not in FINE} == {}


@pytest.mark.parametrize(
    "odd",
    ["NaN", "Infinity", "-Infinity", "1e999", '"\\u0000"', '["\\ud800"]', "[" * 20_000, "[" * 5_000 + "]" * 5_000],
)
def test_a_value_that_no_database_keeps_is_refused_where_it_was_written(robust, vault, odd):
    for field in ("context_weight", "context_shelves", "context_wallet"):
        response = robust.post(doing(vault, "edit"), {field: odd})
        assert response.status_code == 200
        assert response.context["form"].errors


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_bulk_action_is_answered(robust, vault, odd):
    emit("bell")
    value, found = ODD[odd], {}
    for address, action in ((LIST, "cancel_selected"), (EVENTS, "cancel")):
        fine = {"action": action, "_selected_action": str(vault.pk), "select_across": "0", "index": "0"}
        for name in fine:
            found[address, name] = robust.post(address, {**fine, name: value}).status_code
    for verb in ("cancel", "retry", "wake"):
        address = reverse("admin:django_ai_workflows_workflowrun_bulk", args=[verb])
        fine = {
            "ids": "",
            "query": "status=nothing",
            "below": "1",
            "done": "0",
            "refused": "0",
            "total": "1",
            "reason": "",
        }
        for name in fine:
            found[verb, name] = robust.post(address, {**fine, name: value}).status_code
        for name in (*OF_RUNS, "data__code__startswith"):
            given = {**fine, "query": urlencode({name: value})}
            found[verb, "query", name] = robust.post(address, given).status_code
    assert {what: status for what, status in found.items() if status not in FINE} == {}
    assert WorkflowRun.objects.get(pk=vault.pk).status == "suspended"


LOOKUPS = [
    "data__combination__startswith=left",
    "data__code__regex=^h",
    "data__wallet__number__startswith=55",
    "data__owner=Ada",
    "error__contains=a",
    "signals__payload__pin__startswith=1",
    "step_executions__changes__code__0__startswith=h",
    "child_runs__data__code__startswith=h",
    "owner__password__startswith=m",
    "pk__gt=0",
    "name__regex=(a+)+$",
]


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_a_lookup_from_the_address_is_refused(robust, client_of, vault, lookup):
    viewer = client_of("view")
    assert viewer.get(f"{LIST}?{lookup}").status_code == 400
    bulk = reverse("admin:django_ai_workflows_workflowrun_bulk", args=["cancel"])
    given = {"ids": "", "query": lookup, "below": vault.pk + 1, "done": 0, "refused": 0, "total": 1, "reason": ""}
    assert robust.post(bulk, given).status_code == 400
    assert WorkflowRun.objects.get(pk=vault.pk).status == "suspended"


@pytest.mark.parametrize("lookup", ["data__card__startswith=4", "deliveries__has_key=a", "name__regex=^b", "pk__in=1"])
def test_a_lookup_of_events_is_refused(robust, lookup):
    emit("bell", data={"card": "4711"})
    assert robust.get(f"{EVENTS}?{lookup}").status_code == 400


def test_the_filters_still_filter(robust, vault):
    for query, count in (
        ("status=suspended", 1),
        ("status=failed", 0),
        ("workflow=vault&step=only", 1),
        ("waits=signal", 1),
    ):
        assert len(robust.get(f"{LIST}?{query}").context["cl"].result_list) == count
    emit("bell")
    for query, count in (
        ("status__exact=failed", 0),
        ("name=bell", 1),
        ("at__gte=2001-01-01T00:00Z", 1),
        ("failed=any", 0),
    ):
        assert len(robust.get(f"{EVENTS}?{query}").context["cl"].result_list) == count


def found(client, term):
    return len(client.get(f"{LIST}?{urlencode({'q': term})}").context["cl"].result_list)


def test_the_search_finds_what_is_shown_and_nothing_that_is_masked(chief, vault):
    assert found(chief, "owner=Ada") == 1
    assert found(chief, "weight=1.5") == 1
    assert found(chief, "shelves=[1, 2]") == 1
    secrets = [
        "combination=left-right-left",
        f"code={SECRET}",
        f"wallet={json.dumps({'number': '5500-0000', 'bank': 'north'})}",
    ]
    assert [found(chief, term) for term in secrets] == [0, 0, 0]


def test_the_search_looks_at_no_field_that_the_class_does_not_declare(chief, vault):
    WorkflowRun.objects.update(data={"owner": "Ada", "old": "rosebud"})
    assert (found(chief, "owner=Ada"), found(chief, "old=rosebud")) == (1, 0)


def test_the_search_looks_at_no_run_whose_workflow_is_gone(chief, vault):
    WorkflowRun.objects.update(name="gone")
    assert found(chief, "owner=Ada") == 0


def test_the_search_goes_by_the_version_that_a_run_follows(chief, vault, workflows):
    @workflow("vault", version="2")
    class Second:
        class Context(BaseModel):
            owner: SecretStr = SecretStr("Eve")

        @step(start=True)
        def only(self):
            return wait.for_signal("open")

    engine.start("vault")
    assert (found(chief, "owner=Ada"), found(chief, "owner=Eve")) == (1, 0)
    WorkflowRun.objects.update(version="0")  # which follows the newest
    assert (found(chief, "owner=Ada"), found(chief, "owner=Eve")) == (0, 0)


def test_a_link_does_not_say_what_the_edit_dialog_shows(chief, vault):
    query = urlencode({"context_owner": "Mallory", "context_weight": "9", "name": "close", "reason": "because"})
    for verb in ("edit", "signal", "cancel"):
        body = chief.get(f"{doing(vault, verb)}?{query}").content.decode()
        assert not any(text in body for text in ("Mallory", "close", "because", 'value="9"'))
    assert "Ada" in chief.get(f"{doing(vault, 'edit')}?{query}").content.decode()


def test_an_event_of_this_number_is_still_found(robust):
    event = emit("bell")
    assert robust.get(f"{EVENTS}{event.pk}/change/").status_code == 200
    assert Event.objects.count() == 1
