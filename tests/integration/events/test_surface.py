"""Events in the admin, in Celery, and what `manage.py check` says of them."""

from datetime import timedelta

import pytest
from celery import current_app
from django.core import checks
from django.urls import reverse

from django_ai.automation.events import EventDefinition, consequences, emit, on_event, schedule, tasks
from django_ai.automation.events.checks import check_definitions, check_subscriptions
from django_ai.automation.events.models import Event
from tests.app.models import Appointment, Note, Order, Ticket
from tests.integration.events.conftest import NOON, minutes

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon")]

CHANGELIST = "admin:django_ai_events_event_changelist"


@pytest.fixture
def page(admin_client):
    def page(event, client=admin_client):
        return client.get(reverse("admin:django_ai_events_event_change", args=[event.pk])).content.decode()

    return page


@pytest.fixture
def act(admin_client):
    def act(action, *events):
        chosen = {"action": action, "_selected_action": [event.pk for event in events]}
        return admin_client.post(reverse(CHANGELIST), chosen, follow=True).content.decode()

    return act


def test_the_list_shows_events_and_a_fixed_number_of_queries_finds_them(
    admin_client, noon, django_assert_max_num_queries
):
    for number in range(20):
        Appointment.objects.create(at=NOON + minutes(number))
    with django_assert_max_num_queries(8):
        shown = admin_client.get(reverse(CHANGELIST)).content.decode()
    assert shown.count("appointment_due") >= 20
    assert "testapp.appointment #" in shown


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"fine", "order_placed", "broken"}),
        ("?status__exact=failed", {"broken"}),
        ("?failed=any", {"broken", "order_placed"}),
        ("?failed=handlers", {"order_placed"}),
        ("?failed=declaration", {"broken"}),
        ("?name=order_placed", {"order_placed"}),
        ("?q=4711", {"fine"}),
    ],
)
def test_the_list_can_be_narrowed(admin_client, noon, tick, query, found):
    @on_event("order_placed")
    def fail(event):
        raise RuntimeError

    emit("fine", correlate="4711")
    Order.objects.create()
    Event.objects.create(name="broken", at=NOON, armed_at=NOON, status="failed")
    tick()
    shown = admin_client.get(reverse(CHANGELIST) + query).context["cl"].result_list
    assert {event.name for event in shown} == found


def test_a_page_tells_what_became_of_an_event(page, noon, tick, heard, monkeypatch):
    @on_event("noted", key="the-failing-one")
    def fail(event):
        raise RuntimeError("<no room>")

    monkeypatch.setattr(consequences, "consequences", [lambda event, request: [("Run #7", "/runs/7/")]])
    event = emit("noted", Note.objects.create(), {"how": "loud"})
    tick()
    shown = page(event)
    assert "the-failing-one" in shown
    assert "RuntimeError: &lt;no room&gt;" in shown
    assert '<a href="/runs/7/">Run #7</a>' in shown
    assert "loud" in shown


def test_an_event_without_an_entity_or_of_an_unknown_model_has_a_page(page, noon):
    assert "noted" in page(emit("noted"))
    gone = Event.objects.create(name="old", entity_type="shop.gone", entity_id="1", at=NOON, armed_at=NOON)
    assert "shop.gone #1" in page(gone)


def test_an_entity_is_linked_where_the_admin_has_a_page_for_it(page, admin_user):
    event = emit("joined", admin_user)
    assert reverse("admin:auth_user_change", args=[admin_user.pk]) in page(event)


def test_a_person_cancels_and_repeats_events(act, noon, tick, heard):
    due = heard("appointment_due")
    broken = [True]

    @on_event("appointment_due", key="fails")
    def fail(event):
        if broken:
            raise RuntimeError

    for _ in range(2):
        Appointment.objects.create(at=NOON + minutes(10))
    cancelled, kept = Event.objects.order_by("pk")
    assert "1 events cancelled." in act("cancel", cancelled)
    cancelled.refresh_from_db()
    assert (cancelled.status, cancelled.note) == ("cancelled", "Cancelled by admin.")
    noon.shift(minutes(10))
    tick()
    assert len(due.names) == 1
    broken.clear()
    assert "1 events are repeated." in act("retry", kept)
    tick()
    assert not Event.objects.failed().exists()


def test_nobody_adds_an_event_or_writes_its_fields(admin_client, noon):
    event = emit("noted")
    assert admin_client.get(reverse("admin:django_ai_events_event_add")).status_code == 403
    address = reverse("admin:django_ai_events_event_change", args=[event.pk])
    admin_client.post(address, {"name": "other", "status": "occurred"})
    event.refresh_from_db()
    assert (event.name, event.status) == ("noted", "pending")


def test_who_may_only_look_is_offered_no_action(client, django_user_model, noon):
    from django.contrib.auth.models import Permission

    viewer = django_user_model.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_event"))
    client.force_login(viewer)
    event = emit("noted")
    client.post(reverse(CHANGELIST), {"action": "cancel", "_selected_action": [event.pk]})
    event.refresh_from_db()
    assert event.status == "pending"


def test_the_tasks_do_what_they_are_called(noon, heard):
    everything = heard()
    first, second = emit("first"), emit("second")
    tasks.occur([first.pk])
    assert everything.names == ["first"]
    tasks.tick()
    assert everything.names == ["first", "second"]
    Appointment.objects.bulk_create([Appointment(at=NOON)])
    tasks.reconcile()
    tasks.tick()
    assert everything.names == ["first", "second", "appointment_due"]
    assert second.pk


def test_the_beat_schedule_has_the_tick_and_the_reconciliation_and_keeps_what_a_project_set(settings, monkeypatch):
    own = {"task": "django_ai.events.tick", "schedule": 60}
    monkeypatch.setitem(current_app.conf, "beat_schedule", {"django_ai.events.tick": own})
    settings.DJANGO_AI = {"EVENT_RECONCILE_SECONDS": 120, "QUEUE": "events"}
    schedule.install()
    assert current_app.conf.beat_schedule["django_ai.events.tick"] == own
    reconcile = current_app.conf.beat_schedule["django_ai.events.reconcile"]
    assert (reconcile["schedule"], reconcile["options"]["queue"]) == (120, "events")
    assert reconcile["options"]["expires"] > 0


def test_the_reconciliation_can_be_switched_off(settings, monkeypatch):
    monkeypatch.setitem(current_app.conf, "beat_schedule", {})
    settings.DJANGO_AI = {"EVENT_RECONCILE_SECONDS": 0}
    schedule.install()
    assert list(current_app.conf.beat_schedule) == ["django_ai.events.tick"]


def test_the_declarations_of_the_suite_are_fine():
    assert check_definitions(None) == []
    assert [message for message in checks.run_checks() if message.id.startswith("django_ai_events")] == []


@pytest.mark.parametrize(
    ("events", "fault", "text"),
    [
        ([EventDefinition("a"), "b"], "E001", "events holds 'b'"),
        ([EventDefinition("a"), EventDefinition("a", on="update")], "E002", "declared 2 times"),
        ([EventDefinition("a", date_field="when")], "E003", "has no field 'when'"),
        ([EventDefinition("a", date_field="title")], "E003", "not a DateTimeField"),
        ([EventDefinition("a", watch=["title", "colour"])], "E004", "'colour'"),
        ([EventDefinition("a", correlate="customer.id")], "E005", "no 'customer'"),
    ],
)
def test_a_declaration_that_does_not_fit_its_model_is_found(monkeypatch, events, fault, text):
    monkeypatch.setattr(Appointment, "events", events)
    found = [message for message in check_definitions(None) if message.obj is Appointment]
    assert [message.id for message in found] == [f"django_ai_events.{fault}"]
    assert text in found[0].msg


def test_only_the_apps_that_are_asked_for_are_checked(monkeypatch):
    from django.apps import apps

    monkeypatch.setattr(Ticket, "events", [EventDefinition("a", date_field="when")])
    assert check_definitions([apps.get_app_config("auth")]) == []
    assert len(check_definitions([apps.get_app_config("testapp")])) == 1


def test_a_composite_key_is_found(monkeypatch):
    class CompositePrimaryKey:
        pass

    monkeypatch.setattr(Ticket._meta, "pk", CompositePrimaryKey())
    assert [message.id for message in check_definitions(None)] == ["django_ai_events.E006"]


def test_a_handler_before_an_event_that_has_no_date_is_found():
    for name in ("order_placed", "appointment_due", "emitted_somewhere"):
        on_event(name, offset=timedelta(minutes=-5))(lambda event: None)
    on_event("order_placed", offset=timedelta(minutes=5))(lambda event: None)
    (message,) = check_subscriptions(None)
    assert message.id == "django_ai_events.W001"
    assert "'order_placed'" in message.msg
