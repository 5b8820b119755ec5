"""Somebody on call opens the admin in a browser, sees what is wrong with a run, and mends it."""

from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from playwright.sync_api import expect
from pydantic import BaseModel, Field

from django_ai.automation.workflows.core import (
    Retry,
    complete,
    engine,
    fail,
    get_context,
    goto,
    sleep,
    step,
    wait,
    workflow,
)
from django_ai.automation.workflows.models import WorkflowRun
from django_ai.automation.workflows.statezero_action import statezero_action

LIST = "/admin/django_ai_workflows/workflowrun/"
POLICY = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'"


class StrictPolicy:
    """Forbids inline scripts and styles, as careful projects do."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        if request.path.startswith("/admin/django_ai_workflows/"):
            response["Content-Security-Policy"] = POLICY
        return response


@pytest.fixture
def parcel(transactional_db):
    """Start runs of a workflow that can come into each state."""

    @workflow("parcel", default_retry=Retry(max_attempts=1))
    class Parcel:
        class Context(BaseModel):
            address: str = ""
            weight: int = 1
            secret: str = Field("do-not-show", json_schema_extra={"sensitive": True})

        @step(start=True)
        def pack(self):
            if get_context().address == "nowhere":
                raise ValueError("no such address")
            if get_context().address == "form":
                return goto(self.sign)
            return sleep(timedelta(days=1), then=self.send) if get_context().address == "far" else goto(self.send)

        @step()
        def send(self):
            return wait("delivered", then=self.file, timeout=timedelta(days=2), on_timeout=self.lose)

        @statezero_action(name="sign_parcel")
        @step()
        def sign(self, name: str):
            get_context().address = name
            return goto(self.send)

        @step()
        def file(self):
            return complete() if get_context().weight else fail("too light", retryable=True)

        @step()
        def lose(self):
            return fail("lost")

    return lambda **context: WorkflowRun.objects.get(pk=engine.start(Parcel, **context).pk)


@pytest.fixture
def desk(browser, live_server, settings):
    """Return a function that opens a page of the admin as somebody with these permissions, or as one who may all."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.browser.test_admin.StrictPolicy"]
    contexts, complaints = [], []

    def open_page(path, *permissions, **options):
        users = get_user_model().objects
        if permissions:
            user = users.create_user(f"looker-{len(contexts)}", is_staff=True)
            names = [f"{name}_workflowrun" for name in permissions]
            user.user_permissions.set(Permission.objects.filter(codename__in=names))
        else:
            user = users.filter(username="chief").first() or users.create_superuser("chief")
        client = Client()
        client.force_login(user)
        context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
        contexts.append(context)
        cookie = client.cookies[django_settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": "sessionid", "value": cookie, "url": live_server.url}])
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: "Content Security" in said.text and complaints.append(said.text))
        page.goto(f"{live_server.url}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def address(run):
    return f"{LIST}{run.pk}/change/"


def badge(page):
    return page.locator(".wf-title .wf-badge")


def sentence(page):
    return page.locator(".wf-sentence")


def test_the_list_shows_each_run_and_leads_to_its_page(parcel, desk):
    waiting, failed = parcel(address="here"), parcel(address="nowhere")
    page = desk(LIST)
    expect(page.get_by_role("row").filter(has_text=f"#{failed.pk}")).to_contain_text("ValueError")
    expect(page.get_by_role("row").filter(has_text=f"#{waiting.pk}")).to_contain_text("signal delivered")
    page.get_by_role("link", name="1 failed").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    page.get_by_role("link", name=f"parcel #{failed.pk}").click()
    expect(badge(page)).to_have_text("Failed")


STATES = {
    "waiting": ({"address": "here"}, "Suspended", "Waits for the signal “delivered”"),
    "asleep": ({"address": "far"}, "Suspended", "Sleeps since"),
    "failed": ({"address": "nowhere"}, "Failed", "Failed at"),
    "form": ({"address": "form"}, "Suspended", "Waits for somebody to fill in the form"),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_a_run_in_each_state(parcel, desk, state, scheme):
    context, status, said = STATES[state]
    page = desk(address(parcel(**context)), color_scheme=scheme)
    expect(badge(page)).to_have_text(status)
    expect(sentence(page)).to_contain_text(said)
    expect(page.locator("svg.wf-graph .wf-node")).to_have_count(5)
    expect(page.locator("body")).not_to_contain_text("do-not-show")


def test_a_completed_and_a_cancelled_run(parcel, desk):
    done, given_up = parcel(address="here"), parcel(address="here")
    engine.signal("delivered", run=done)
    engine.cancel(given_up, "nobody at home")
    expect(badge(desk(address(done)))).to_have_text("Completed")
    expect(sentence(desk(address(given_up)))).to_contain_text("nobody at home")


def test_a_failed_run_is_mended_and_retried(parcel, desk):
    run = parcel(address="nowhere")
    page = desk(address(run))
    page.get_by_text("pack", exact=True).last.click()
    page.get_by_text("Attempt 1,").click()
    expect(page.locator(".wf-traceback")).to_contain_text("Traceback")
    page.get_by_role("link", name="Edit context…").click()
    page.get_by_label("address").fill("Main Street")
    page.get_by_role("button", name="Edit context").click()
    expect(page.locator("#wf-context")).to_contain_text("Main Street")
    page.get_by_role("link", name="Retry", exact=True).click()
    page.get_by_role("button", name="Retry").click()
    expect(sentence(page)).to_contain_text("Waits for the signal “delivered”")
    expect(page.locator("#wf-log")).to_contain_text("Retried from the step “pack”")
    assert LogEntry.objects.count() == 2


def test_a_run_is_cancelled_with_a_reason_after_a_question(parcel, desk):
    run = parcel(address="here")
    page = desk(address(run))
    page.get_by_role("link", name="Cancel…").click()
    page.get_by_label("Reason").fill("closed")
    page.get_by_role("link", name="No, go back").click()
    expect(badge(page)).to_have_text("Suspended")
    page.get_by_role("link", name="Cancel…").click()
    page.get_by_label("Reason").fill("closed")
    page.get_by_role("button", name="Cancel").click()
    expect(badge(page)).to_have_text("Cancelled")
    expect(sentence(page)).to_contain_text("closed")


def test_a_signal_is_sent_with_a_form(parcel, desk):
    run = parcel(address="here")
    page = desk(address(run))
    page.get_by_role("link", name="Send signal…").click()
    expect(page.get_by_label("Name")).to_have_value("delivered")
    page.get_by_label("weight").fill("12")
    page.get_by_role("button", name="Send signal").click()
    expect(badge(page)).to_have_text("Completed")
    expect(page.locator("#wf-context")).to_contain_text("12")


def test_a_new_run_begins_at_an_earlier_step(parcel, desk):
    run = parcel(address="here")
    page = desk(address(run))
    page.locator("#wf-timeline summary").last.click()
    page.get_by_role("link", name="Start a new run from here").last.click()
    page.get_by_role("button", name="Start a new run from here").click()
    expect(page.locator("h1")).not_to_contain_text(f"#{run.pk}")
    page.get_by_role("link", name=f"parcel #{run.pk}").click()
    expect(page.locator(".wf-facts")).to_contain_text("Begun anew as")


def test_the_page_moves_while_the_run_moves_and_keeps_open_what_was_opened(parcel, desk):
    run = parcel(address="here")
    page = desk(address(run))
    page.locator("#wf-timeline summary").last.click()
    details = page.locator("#wf-timeline .wf-details").last
    expect(details).to_be_visible()
    engine.signal("delivered", {"weight": 3}, run=run)
    # No reload: the page looks by itself.
    expect(badge(page)).to_have_text("Completed")
    expect(details).to_be_visible()
    expect(page.locator("svg.wf-graph .wf-node--done")).to_have_count(3)


def test_an_ended_run_is_not_asked_for_again(parcel, desk):
    run = parcel(address="here")
    engine.cancel(run)
    page = desk(address(run))
    expect(badge(page)).to_have_text("Cancelled")
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.clock.install()
    page.clock.run_for(60_000)
    assert requests == []


def test_the_form_of_a_run_is_filled_in_where_the_run_is_shown(parcel, desk):
    page = desk(address(parcel(address="form")))
    page.get_by_label("Name").fill("Ada")
    page.get_by_role("button", name="Submit").click()
    expect(sentence(page)).to_contain_text("Waits for the signal “delivered”")
    expect(page.locator("#wf-context")).to_contain_text("Ada")


def test_who_may_only_look_sees_all_and_can_do_nothing(parcel, desk):
    run = parcel(address="nowhere")
    page = desk(address(run), "view")
    expect(badge(page)).to_have_text("Failed")
    expect(page.locator(".wf-buttons")).to_have_count(0)
    expect(page.get_by_role("link", name="Start a new run from here")).to_have_count(0)
    page.goto(page.url.replace("change/", "do/retry/"))
    expect(page.locator("h1")).to_contain_text("403")
    assert WorkflowRun.objects.get(pk=run.pk).status == "failed"


def test_many_runs_are_retried_with_progress(parcel, desk, monkeypatch):
    from django_ai.automation.workflows.admin import bulk

    monkeypatch.setattr(bulk, "BATCH", 2)
    runs = [parcel(address="nowhere") for _ in range(5)]
    WorkflowRun.objects.update(data={"address": "here", "weight": 1})
    page = desk(f"{LIST}?status=failed")
    page.locator("#action-toggle").check()
    page.get_by_label("Action:").select_option("retry_selected")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(page.locator(".wf-question")).to_contain_text("5 runs")
    page.get_by_role("button", name="Retry 5 runs").click()
    expect(page.locator(".messagelist")).to_contain_text("5 runs retried")
    assert set(WorkflowRun.objects.values_list("status", flat=True)) == {"suspended"}
    assert LogEntry.objects.count() == len(runs)


def test_workflows_are_listed_with_their_graphs(parcel, desk):
    parcel(address="here")
    page = desk("/admin/django_ai_workflows/workflow/")
    page.get_by_role("link", name="parcel", exact=True).first.click()
    expect(page.locator("svg.wf-graph .wf-node")).to_have_count(5)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_a_run_is_accessible(parcel, desk, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = desk(address(parcel(address="nowhere")), color_scheme=scheme)
    expect(badge(page)).to_have_text("Failed")
    page.emulate_media(reduced_motion="reduce")
    page.evaluate("document.querySelectorAll('.wf details').forEach((details) => (details.open = true))")
    found = Axe().run(page, context=".wf").response["violations"]
    assert [(item["id"], [node["html"] for node in item["nodes"]]) for item in found] == []
