"""Nobody acts on, or finds out about, a run that is none of their business."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404
from rest_framework import exceptions as drf
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.test import APIClient

from django_ai.automation.workflows.core import complete, engine, goto, run_subflow, step, workflow
from django_ai.automation.workflows.models import WorkflowRun
from django_ai.automation.workflows.permissions import OwnerOrStaff
from django_ai.automation.workflows.statezero_action import statezero_action

from .conftest import GOOD

# Members of the staff, and what they may do to runs.
STAFF = {"staff": "change", "viewer": "view", "clerk": ""}


@pytest.fixture
def people(db):
    create = get_user_model().objects.create_user
    found = {name: create(name, is_staff=name in STAFF) for name in ("owner", "stranger", *STAFF)}
    for name, permission in STAFF.items():
        found[name].user_permissions.set(Permission.objects.filter(codename=f"{permission}_workflowrun"))
    return {**found, "nobody": None}


@pytest.fixture
def be(forms, people):
    """Return a function that makes the client one of the people."""

    def become(who):
        forms.client.force_authenticate(people[who])
        return forms

    return become


@pytest.fixture
def owned_review(people, expense_approval, workflows):
    run = engine.using(owner=people["owner"]).start(expense_approval)
    workflows.drain()
    return run


WHO_MAY = [("owner", True), ("staff", True), ("clerk", False), ("stranger", False), ("nobody", False)]


@pytest.mark.parametrize(("who", "may"), WHO_MAY)
def test_a_run_with_an_owner_is_for_the_owner_and_the_staff(who, may, be, owned_review):
    run, forms = owned_review, be(who)
    expected = 200 if may else 404
    assert forms.get(f"runs/{run.pk}/").status_code == expected
    assert forms.get(f"runs/{run.pk}/form/").status_code == expected
    assert forms.post("submit_review", run, **GOOD).status_code == expected


@pytest.mark.parametrize(("who", "may"), WHO_MAY)
def test_owner_or_staff_is_ready_made(who, may, be, people, workflows):
    @workflow("private")
    class Private(OwnerOrStaff):
        @statezero_action(name="private_form")
        @step(start=True)
        def ask(self):
            return complete()

    owned = engine.using(owner=people["owner"].pk).start(Private)
    ownerless = engine.start(Private)
    workflows.drain()
    assert be(who).post("private_form", owned).status_code == (200 if may else 404)
    assert be(who).post("private_form", ownerless).status_code == (200 if who == "staff" else 404)


@pytest.mark.parametrize("base_class", [object, OwnerOrStaff])
def test_staff_that_may_only_view_reads_a_run_and_posts_no_form(base_class, be, people, workflows):
    @workflow("viewed")
    class Viewed(base_class):
        @statezero_action(name="viewed_form")
        @step(start=True)
        def ask(self, owner: get_user_model()):
            return complete()

    run = engine.using(owner=people["owner"]).start(Viewed)
    forms = be("viewer")
    assert forms.get(f"runs/{run.pk}/").status_code == 200
    assert forms.get(f"runs/{run.pk}/form/").status_code == 403
    assert forms.post("viewed_form", run, owner=people["owner"].pk).status_code == 403


def test_a_stranger_is_told_the_same_of_a_hidden_run_as_of_none(be, people, owned_review):
    run = owned_review
    forms = be("stranger")
    hidden, none = forms.post("submit_review", run, **GOOD), forms.post("submit_review", run.pk + 1, **GOOD)
    assert hidden.json()["detail"]["message"].replace(str(run.pk), "") == none.json()["detail"]["message"].replace(
        str(run.pk + 1), ""
    )
    forms = be("owner")
    forms.post("submit_review", run, **GOOD)
    assert be("stranger").post("submit_review", run, **GOOD).status_code == 404, "not 409"


def test_a_workflow_decides_by_itself_who_may(be, people, workflows):
    @workflow("by_reviewer")
    class ByReviewer:
        @classmethod
        def has_run_permission(cls, request, run):
            return request.user.username == "stranger"

        @statezero_action(name="by_reviewer")
        @step(start=True)
        def ask(self):
            return complete()

    run = engine.using(owner=people["owner"]).start(ByReviewer)
    workflows.drain()
    for who in ("owner", "staff", "nobody"):
        assert be(who).post("by_reviewer", run).status_code == 404
    assert be("stranger").post("by_reviewer", run).status_code == 200


def test_the_runs_of_a_deleted_owner_are_not_everybodys(be, people, owned_review):
    run = owned_review
    people["owner"].delete()
    assert be("nobody").get(f"runs/{run.pk}/").status_code == 404
    assert be("staff").get(f"runs/{run.pk}/").status_code == 200


def test_the_runs_of_a_class_that_is_gone_are_not_everybodys(be, people, review):
    WorkflowRun.objects.filter(pk=review.pk).update(name="gone")
    assert be("nobody").get(f"runs/{review.pk}/").status_code == 404
    assert be("staff").get(f"runs/{review.pk}/").status_code == 200


def test_a_child_inherits_its_parents_owner(people, workflows, expense_approval):
    @workflow("parent_of_form")
    class Parent:
        @step(start=True)
        def begin(self):
            return run_subflow(expense_approval, on_complete=self.end)

        @step()
        def end(self, subflow_result):
            return complete()

    run = engine.using(owner=people["owner"]).start(Parent)
    workflows.drain()
    assert WorkflowRun.objects.get(parent_run=run).owner == people["owner"]


class Shut(BasePermission):
    message = "The office is closed."

    def has_permission(self, request, view):
        assert view is not None
        return False


class NotThisRun(BasePermission):
    def has_object_permission(self, request, view, obj):
        return obj.name != "guarded"


class LikeStateZero:
    """What StateZero's AbstractActionPermission asks for, and no more."""

    def has_permission(self, request, action_name):
        return action_name == "guarded"

    def has_action_permission(self, request, action_name, validated_data):
        return validated_data["word"] != "forbidden"


@pytest.mark.parametrize(
    ("permissions", "word", "status"),
    [
        (Shut, "fine", 403),
        ([IsAuthenticated], "fine", 403),
        ([Shut | IsAuthenticated], "fine", 403),
        ([NotThisRun], "fine", 404),
        ([LikeStateZero], "fine", 200),
        ([LikeStateZero()], "forbidden", 403),
    ],
)
def test_permission_classes_of_both_kinds_guard_an_action(forms, workflows, permissions, word, status):
    @workflow("guarded")
    class Guarded:
        @statezero_action(name="guarded", permissions=permissions)
        @step(start=True)
        def ask(self, word: str):
            return complete()

    run = engine.start(Guarded)
    workflows.drain()
    assert forms.post("guarded", run, word=word).status_code == status


def test_permissions_are_asked_before_the_data_are_looked_at(forms, workflows):
    @workflow("guarded")
    class Guarded:
        @statezero_action(name="guarded", permissions=[IsAuthenticated])
        @step(start=True)
        def ask(self, word: str):
            return complete()

    assert forms.post("guarded", 1).status_code == 403


def test_the_projects_own_gate_guards_every_view(review, settings):
    settings.STATEZERO_VIEW_ACCESS_CLASS = "rest_framework.permissions.IsAuthenticated"
    client = APIClient()
    for path in (f"runs/{review.pk}/", f"runs/{review.pk}/form/", "actions/submit_review/"):
        assert client.get(f"/forms/{path}").status_code == 403
    body = {"workflow_run_id": review.pk, **GOOD}
    assert client.post("/forms/actions/submit_review/", body, format="json").status_code == 403


def test_a_session_needs_its_csrf_token(base, people, owned_review):
    run = owned_review
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(people["owner"])
    body = {"workflow_run_id": run.pk, **GOOD}
    refused = client.post(f"{base}actions/submit_review/", body, format="json")
    assert (refused.status_code, "CSRF" in str(refused.data)) == (403, True)
    token = "a" * 32
    client.cookies["csrftoken"] = token
    accepted = client.post(f"{base}actions/submit_review/", body, format="json", headers={"X-CSRFToken": token})
    assert accepted.status_code == 200


def test_going_on_needs_no_owner(workflows):
    @workflow("ownerless")
    class Ownerless:
        @step(start=True)
        def first(self):
            return goto(self.last)

        @step()
        def last(self):
            return complete()

    run = engine.start(Ownerless)
    workflows.drain()
    run.refresh_from_db()
    assert (run.status, run.owner) == ("completed", None)


REFUSALS = [PermissionDenied(), drf.PermissionDenied(), drf.NotAuthenticated(), Http404(), AttributeError("tenant")]


def refuses(error):
    """Return a permission class that raises an error."""

    class Refuses(BasePermission):
        def has_permission(self, request, view):
            raise error

    return Refuses


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: f"{type(error).__module__}.{type(error).__name__}")
def test_a_permission_of_another_version_that_raises_refuses_no_post_of_this_one(error, forms, workflows):
    @workflow("guarded_in_turn", version="1")
    class First:
        @statezero_action(name="guarded_in_turn", permissions=[refuses(error)])
        @step(start=True)
        def ask(self):
            return complete()

    @workflow("guarded_in_turn", version="2")
    class Second:
        @statezero_action(name="guarded_in_turn")
        @step(start=True)
        def ask(self):
            return complete()

    old = engine.using(version="1").start("guarded_in_turn")
    assert forms.post("guarded_in_turn", engine.start(Second)).status_code == 200
    assert forms.post("guarded_in_turn", old).status_code >= 400
    old.refresh_from_db()
    assert old.status == "suspended"


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: f"{type(error).__module__}.{type(error).__name__}")
def test_a_hook_that_raises_hides_the_run_and_breaks_no_page_of_the_admin(error, be, workflows, admin_client, caplog):
    @workflow("raising_hook")
    class RaisingHook:
        @classmethod
        def has_run_permission(cls, request, run):
            raise error

        @statezero_action(name="raising_hook_form")
        @step(start=True)
        def ask(self):
            return complete()

    run, forms = engine.start(RaisingHook), be("nobody")
    answers = [forms.get(f"runs/{run.pk}/"), forms.get(f"runs/{run.pk}/form/"), forms.post("raising_hook_form", run)]
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert ("raised, which grants nothing" in caplog.text) is isinstance(error, AttributeError)
    assert admin_client.get(f"/admin/django_ai_workflows/workflowrun/{run.pk}/change/").status_code == 200


def test_a_database_that_fails_a_hook_decides_nothing(forms, workflows):
    @workflow("hook_without_database")
    class WithoutDatabase:
        @classmethod
        def has_run_permission(cls, request, run):
            raise OperationalError("gone away")

        @statezero_action(name="hook_without_database")
        @step(start=True)
        def ask(self):
            return complete()

    assert forms.post("hook_without_database", engine.start(WithoutDatabase)).status_code == 500
