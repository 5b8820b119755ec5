"""Runs in each state, and people who may see or do different things."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from pydantic import BaseModel, Field, SecretStr

from django_ai.automation.workflows.core import Retry, complete, engine, fail, get_context, goto, sleep, step, workflow
from django_ai.automation.workflows.core import wait as wait_for

SECRET = "hunter2-and-more"


@pytest.fixture
def client_of(db):
    """Return a function that logs in a member of the staff with these permissions of runs."""

    def make(*permissions):
        user = get_user_model().objects.create_user("-".join(permissions) or "nobody", is_staff=True)
        names = [f"{name}_workflowrun" for name in permissions]
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client = Client()
        client.force_login(user)
        client.user = user
        return client

    return make


@pytest.fixture
def chief(db):
    """A client that may do all."""
    user = get_user_model().objects.create_superuser("chief")
    client = Client()
    client.force_login(user)
    client.user = user
    return client


@pytest.fixture
def parcel():
    """A workflow in which a run can come into each state."""

    @workflow("parcel", default_retry=Retry(max_attempts=2, base_delay=timedelta(minutes=5)))
    class Parcel:
        class Context(BaseModel):
            number: int = 0
            address: str = ""
            code: str = Field("", json_schema_extra={"sensitive": True})
            password: SecretStr = SecretStr(SECRET)
            log: list[str] = []

        @step(start=True)
        def pack(self):
            get_context().log.append("packed")
            if get_context().address == "nowhere":
                raise ValueError(f"no such address; the password is {SECRET}")
            if get_context().address == "moon":
                return sleep(timedelta(days=3), then=self.ask)
            return goto(self.ask, progress=0.5)

        @step()
        def ask(self):
            return wait_for("delivered", then=self.file, timeout=timedelta(days=1), on_timeout=self.lose)

        @step()
        def file(self):
            return complete() if get_context().number >= 0 else fail("negative", retryable=True)

        @step()
        def lose(self):
            return fail("lost")

    return Parcel


@pytest.fixture
def runs(parcel, workflows):
    """A run in each state, by its name."""
    started = {
        "waiting": engine.using(tags=["express"], idempotency_key="key-1").start(
            parcel, number=1, address="Main Street"
        ),
        "asleep": engine.start(parcel, number=2, address="moon"),
        "completed": engine.start(parcel, number=3),
        "failed": engine.start(parcel, number=-1),
        "cancelled": engine.start(parcel, number=5),
        "retrying": engine.start(parcel, number=6, address="nowhere"),
    }
    workflows.drain()
    for name in ("completed", "failed"):
        engine.signal("delivered", {"code": SECRET}, run=started[name])
    engine.cancel(started["cancelled"], "nobody at home")
    workflows.drain()
    started["running"] = engine.start(parcel, number=7)
    for run in started.values():
        run.refresh_from_db()
    return started


def page(run):
    return reverse("admin:django_ai_workflows_workflowrun_change", args=[run.pk])


def doing(run, verb):
    return reverse("admin:django_ai_workflows_workflowrun_act", args=[run.pk, verb])


LIST = "/admin/django_ai_workflows/workflowrun/"
