"""Several processes at once, on a real database: threads with connections of their own."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from django_ai.automation.events import emit, scheduler, subscribe
from django_ai.automation.events.models import Event
from django_ai.automation.events.reconciliation import reconcile
from tests.app.models import Appointment, Note, Order, Ticket

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
WAIT = 60  # seconds, until a thread that hangs fails its test


def in_thread(function, *args):
    """Run a function with a database connection of its own that is closed behind it."""
    try:
        return function(*args)
    finally:
        connections.close_all()


def together(*functions):
    """Run functions at the same time and return what they return."""
    start = threading.Barrier(len(functions))

    def run(function):
        start.wait(WAIT)
        return in_thread(function)

    with ThreadPoolExecutor(len(functions)) as pool:
        return [future.result(WAIT * 3) for future in [pool.submit(run, function) for function in functions]]


class Pause:
    """A place where one thread stops until another lets it go on."""

    def __init__(self):
        self.reached, self.go_on = threading.Event(), threading.Event()

    def __call__(self, *_):
        self.reached.set()
        assert self.go_on.wait(WAIT)


@pytest.fixture
def row_locks():
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("needs a database that locks rows")


@pytest.fixture
def pause():
    pause = Pause()
    yield pause
    pause.go_on.set()


@pytest.fixture
def background():
    with ThreadPoolExecutor(4) as pool:
        yield lambda function, *args: pool.submit(in_thread, function, *args)


def test_four_schedulers_at_once_call_for_each_of_500_events_once(settings):
    settings.DJANGO_AI = {"BATCH_SIZE": 50}
    subscribe("writes", lambda events: Note.objects.bulk_create(Note(text=event.entity_id) for event in events))
    Appointment.objects.bulk_create(Appointment(at=timezone.now()) for _ in range(250))
    assert reconcile() == 250
    with transaction.atomic():
        for _ in range(250):
            emit("ping", correlate="x")

    def occur_until_nothing_is_left():
        while Event.objects.due().exists():
            scheduler.occur_due()

    together(*[occur_until_nothing_is_left] * 4)
    assert Event.objects.filter(status="occurred").count() == 500
    assert Counter(Note.objects.values_list("text", flat=True)).most_common(2)[0] == ("", 250)
    assert Note.objects.exclude(text="").values("text").distinct().count() == 250
    assert Note.objects.count() == 500


@pytest.mark.usefixtures("row_locks")
def test_an_event_that_is_being_called_for_is_left_alone_by_another_scheduler(pause, background):
    subscribe("slow", pause, event="ping")
    emit("ping")
    first = background(scheduler.occur_due)
    assert pause.reached.wait(WAIT)
    emit("pong")
    assert scheduler.occur_due() == 1
    assert [event.status for event in Event.objects.order_by("pk")] == ["pending", "occurred"]
    pause.go_on.set()
    assert first.result(WAIT) == 1


def test_what_a_scheduler_did_before_it_died_is_undone_and_done_again(noon):
    class Killed(BaseException):
        pass

    killed = [True]

    def write(events):
        Note.objects.create(text="written")
        if killed:
            raise Killed(killed.pop())

    subscribe("writes", write)
    emit("ping")
    with pytest.raises(Killed):
        scheduler.occur_due()
    assert not Note.objects.exists()
    assert Event.objects.get().status == "pending"
    noon.shift(60)
    scheduler.occur_due()
    assert Note.objects.count() == 1


@pytest.mark.postgres
def test_a_date_that_moves_while_its_event_occurs_arms_a_new_occurrence(pause, background):
    """The save waits for the event, which then has occurred."""
    appointment = Appointment.objects.create(at=timezone.now())
    subscribe("slow", pause)
    occurring = background(scheduler.occur_due)
    assert pause.reached.wait(WAIT)
    appointment.at += HOUR
    saving = background(appointment.save)
    wait_until_blocked()
    pause.go_on.set()
    assert (occurring.result(WAIT), saving.result(WAIT)) == (1, None)
    assert [event.status for event in Event.objects.order_by("pk")] == ["occurred", "pending"]


@pytest.mark.usefixtures("row_locks")
def test_a_date_that_moved_first_is_respected_by_the_scheduler(pause, background):
    appointment = Appointment.objects.create(at=timezone.now())

    def move():
        with transaction.atomic():
            appointment.at += HOUR
            appointment.save()
            pause()

    moving = background(move)
    assert pause.reached.wait(WAIT)
    assert scheduler.occur_due() == 0  # the row is locked by the save, and passed over
    pause.go_on.set()
    moving.result(WAIT)
    assert scheduler.occur_due() == 0
    assert [event.status for event in Event.objects.all()] == ["pending"]


@pytest.mark.usefixtures("row_locks")
def test_two_saves_of_one_row_at_once_bring_its_event_about_once():
    order = Order.objects.create()

    def pay():
        row = Order.objects.get(pk=order.pk)
        row.status = "paid"
        row.save()

    together(*[pay] * 4)
    assert Event.objects.filter(name="order_paid").count() == 1


@pytest.mark.usefixtures("row_locks")
def test_two_saves_of_one_watched_change_are_one_change():
    ticket = Ticket.objects.create(subject="a")

    def rename():
        row = Ticket.objects.get(pk=ticket.pk)
        row.subject = "b"
        row.save()

    together(*[rename] * 4)
    assert Event.objects.count() == 2  # the first is that of the new row


@pytest.mark.usefixtures("row_locks")
def test_reconciling_while_rows_are_saved_makes_no_second_event():
    Appointment.objects.bulk_create(Appointment(at=timezone.now() + HOUR) for _ in range(50))

    def save_all():
        for appointment in Appointment.objects.all():
            appointment.save()

    together(save_all, reconcile, reconcile)
    assert Event.objects.count() == 50


@pytest.mark.usefixtures("row_locks")
def test_a_row_that_is_being_saved_is_passed_over_by_the_reconciliation(pause, background):
    (appointment,) = Appointment.objects.bulk_create([Appointment(at=timezone.now() + HOUR)])

    def save_slowly():
        with transaction.atomic():
            Appointment.objects.select_for_update().get(pk=appointment.pk)
            pause()

    saving = background(save_slowly)
    assert pause.reached.wait(WAIT)
    assert reconcile() == 0
    pause.go_on.set()
    saving.result(WAIT)
    assert reconcile() == 1


def test_a_save_outside_of_a_transaction_commits_together_with_its_event(monkeypatch):
    from django_ai.automation.events import ledger

    def crash(*_, **__):
        raise SystemExit

    monkeypatch.setattr(ledger, "insert", crash)
    with pytest.raises(SystemExit):
        Order.objects.create()
    assert not Order.objects.exists()


def test_the_engine_goes_by_the_clock_of_the_database(heard):
    import time_machine

    due = heard("appointment_due")
    now = timezone.now()
    Appointment.objects.create(at=now - HOUR)
    Appointment.objects.create(at=now + HOUR)
    with time_machine.travel(now + 10 * HOUR):
        scheduler.occur_due()
    assert [event.at for event in due.events] == [now - HOUR]


def wait_until_blocked():
    """Return as soon as some connection waits for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    deadline = threading.Event()
    timer = threading.Timer(WAIT, deadline.set)
    timer.start()
    try:
        with connection.cursor() as cursor:
            while not deadline.is_set():
                cursor.execute(waiting)
                if cursor.fetchone()[0]:
                    return
    finally:
        timer.cancel()
    pytest.fail("nobody waits for a lock")
