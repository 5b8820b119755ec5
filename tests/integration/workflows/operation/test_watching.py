"""Health for those who look: a page and a banner in the admin, and an endpoint for probes."""

from datetime import timedelta

import pytest
from django.contrib.admin import AdminSite, site
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import OperationalError
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from django_ai.automation.workflows.admin import banner
from django_ai.automation.workflows.admin.health import HealthAdmin
from django_ai.automation.workflows.health import alarm as alarms
from django_ai.automation.workflows.health import gathering
from django_ai.automation.workflows.models import Pulse
from django_ai.automation.workflows.monitoring import views
from django_ai.automation.workflows.runtime import pulses

pytestmark = pytest.mark.django_db

PROBE = "/ops/health/"
STILL = "Workflows stand still"


@pytest.fixture(autouse=True)
def nothing_known():
    """What a process remembers of health is no matter of the next test."""
    views.recent.forget()


@pytest.fixture
def page():
    return reverse("admin:django_ai_workflows_pulse_changelist")


@pytest.fixture
def alive(monkeypatch):
    """Let beat, the scheduler and the worker of the one queue have spoken just now."""
    monkeypatch.setattr(gathering.dispatch, "queues", lambda: ["celery"])
    for name in (pulses.BEAT, pulses.TICK):
        pulses.stamp(name)
    pulses.stamp("queue:celery", lag=0.01)


@pytest.fixture
def silent(alive):
    """Let all of them have been silent since two minutes ago."""
    Pulse.objects.update(at=timezone.now() - timedelta(minutes=2))


@pytest.fixture
def staff_client(client):
    """A member of the staff who may see runs, and nothing else."""
    user = get_user_model().objects.create_user("viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_workflowrun"))
    client.force_login(user)
    return client


# The page


def test_the_page_shows_each_check_and_what_to_do(staff_client, page, silent):
    shown = staff_client.get(page).content.decode()
    assert "last pass ended 2 min ago" in shown
    assert "Start beat: celery -A tests beat" in shown
    assert "wf-badge--failed" in shown


def test_the_page_is_on_the_index_and_on_the_list_of_workflows(staff_client, page, alive):
    for address in (reverse("admin:index"), reverse("admin:django_ai_workflows_workflow_changelist")):
        assert f'href="{page}"' in staff_client.get(address).content.decode()


def test_who_may_not_see_runs_sees_no_health(client, page, silent):
    client.force_login(get_user_model().objects.create_user("other", is_staff=True))
    assert client.get(page).status_code == 403
    shown = client.get(reverse("admin:index")).content.decode()
    assert page not in shown
    assert STILL not in shown


def test_nobody_adds_or_changes_a_pulse(admin_client, alive):
    assert admin_client.get(reverse("admin:django_ai_workflows_pulse_add")).status_code == 403
    row = admin_client.get(reverse("admin:django_ai_workflows_pulse_change", args=["beat"]))
    assert row.status_code in (302, 403)


# The banner


@pytest.mark.parametrize("name", ["index", "auth_user_changelist", "django_ai_workflows_workflowrun_changelist"])
def test_every_page_says_that_beat_has_not_ticked_for_a_minute(admin_client, silent, page, name):
    shown = admin_client.get(reverse(f"admin:{name}")).content.decode()
    assert shown.count(STILL) == 1
    assert f'<a href="{page}">Health</a>' in shown


def test_while_all_is_well_there_is_no_banner(admin_client, alive):
    assert STILL not in admin_client.get(reverse("admin:index")).content.decode()


def test_the_page_itself_and_popups_have_no_banner(admin_client, silent, page):
    assert STILL not in admin_client.get(page).content.decode()
    assert STILL not in admin_client.get(reverse("admin:auth_user_changelist"), {"_popup": 1}).content.decode()


def test_the_banner_does_not_stay_when_the_page_is_left(admin_client, silent):
    assert STILL in admin_client.get(reverse("admin:index")).content.decode()
    Pulse.objects.update(at=timezone.now())
    assert STILL not in admin_client.get(reverse("admin:index")).content.decode()


def test_a_banner_costs_one_query(admin_client, silent, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert alarms().name == "scheduler"


def test_a_database_that_is_away_hurts_no_page(monkeypatch):
    def away():
        raise OperationalError

    monkeypatch.setattr("django_ai.automation.clock.now", away)
    assert alarms() is None


def test_a_site_of_the_projects_own_has_the_banner_once(rf, silent, admin_user, monkeypatch):
    own = AdminSite(name="admin")
    HealthAdmin(Pulse, own)
    HealthAdmin(Pulse, own)
    warned = []
    monkeypatch.setattr(banner.messages, "warning", lambda request, text, **_: warned.append(text))
    request = rf.get("/elsewhere/")
    request.user = admin_user
    own.each_context(request)
    own.each_context(request)
    assert len(warned) == 1
    assert site.each_context is not own.each_context


# The endpoint


def test_a_probe_gets_the_status_alone(client, alive):
    answer = client.get(PROBE)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert "no-store" in answer["Cache-Control"]


def test_a_probe_of_what_fails_gets_503(client, silent):
    answer = client.get(PROBE)
    assert (answer.status_code, answer.json()) == (503, {"status": "fail"})


def test_a_warning_is_no_failure(client, alive):
    Pulse.objects.filter(pk="queue:celery").update(lag=31)
    answer = client.get(PROBE)
    assert (answer.status_code, answer.json()) == (200, {"status": "warn"})


def details(answer):
    return {check["name"] for check in answer.json().get("checks", ())}


def test_the_staff_gets_the_details(client, staff_client, alive):
    assert "beat" in details(staff_client.get(PROBE))


def test_strangers_that_ask_often_cost_one_look(client, alive, settings, django_assert_num_queries):
    settings.DJANGO_AI = {"HEALTH_CACHE_SECONDS": 600}
    assert client.get(PROBE).json() == {"status": "ok"}
    Pulse.objects.update(at=timezone.now() - timedelta(minutes=2))
    with django_assert_num_queries(0):
        assert client.get(PROBE).json() == {"status": "ok"}
    settings.DJANGO_AI = {"HEALTH_CACHE_SECONDS": 0}
    assert client.get(PROBE).json() == {"status": "fail"}


def test_the_details_are_those_of_this_moment(staff_client, alive, settings):
    settings.DJANGO_AI = {"HEALTH_CACHE_SECONDS": 600}
    assert staff_client.get(PROBE).json()["status"] == "ok"
    Pulse.objects.update(at=timezone.now() - timedelta(minutes=2))
    assert staff_client.get(PROBE).json()["status"] == "fail"


def test_staff_that_may_not_see_runs_gets_no_details(client, alive):
    client.force_login(get_user_model().objects.create_user("other", is_staff=True))
    assert not details(client.get(PROBE))


def everything(request):
    return Q()


def test_where_runs_are_divided_the_figures_of_all_are_for_superusers(staff_client, admin_client, alive, settings):
    settings.DJANGO_AI = {"RUNS_VISIBLE_TO": f"{__name__}.everything"}
    assert not details(staff_client.get(PROBE))
    assert details(admin_client.get(PROBE))


def test_who_is_no_staff_gets_none(client, alive):
    client.force_login(get_user_model().objects.create_user("somebody"))
    assert not details(client.get(PROBE))


@pytest.mark.parametrize(
    ("header", "seen"), [("Bearer s3cret", True), ("bearer s3cret", True), ("Bearer other", False), ("s3cret", False)]
)
def test_a_token_gets_the_details(client, alive, settings, header, seen):
    settings.DJANGO_AI = {"MONITORING_TOKEN": "s3cret"}
    assert bool(details(client.get(PROBE, headers={"Authorization": header}))) is seen


def test_no_token_is_not_the_empty_token(client, alive, settings):
    for token in (None, ""):
        settings.DJANGO_AI = {"MONITORING_TOKEN": token}
        assert not details(client.get(PROBE, headers={"Authorization": "Bearer "}))


def test_everybody_gets_the_details_where_the_project_says_so(client, alive, settings):
    settings.DJANGO_AI = {"MONITORING_PUBLIC": True}
    assert "beat" in details(client.get(PROBE))


def test_a_probe_may_look_and_not_write(client):
    assert client.post(PROBE).status_code == 405


def test_a_probe_learns_that_the_database_is_away(client, monkeypatch):
    def away(*_):
        raise OperationalError("gone")

    monkeypatch.setattr(gathering.clock, "read", away)
    assert client.get(PROBE).status_code == 503
