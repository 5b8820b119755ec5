"""The run decides which form a post is for, and with it who may post and what; nothing is told before that."""

from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db.models import Q
from rest_framework import serializers
from rest_framework.permissions import AllowAny, BasePermission, IsAdminUser
from rest_framework.test import APIClient

from django_ai.automation.storable import LARGEST_NUMBER
from django_ai.automation.workflows.core import complete, engine, goto, step, workflow
from django_ai.automation.workflows.exceptions import DeclarationError, FormNotOpen
from django_ai.automation.workflows.metadata import FieldDisplayConfig, StepDisplayMetadata
from django_ai.automation.workflows.models import WorkflowRun
from django_ai.automation.workflows.permissions import OwnerOrStaff
from django_ai.automation.workflows.runtime import forms as runtime_forms
from django_ai.automation.workflows.statezero_action import statezero_action


class UpToTen(serializers.Serializer):
    amount = serializers.IntegerField(max_value=10)


class Place(serializers.Serializer):
    place = serializers.CharField()


@pytest.fixture
def versions():
    """Two versions of one workflow, whose forms have one name and nothing else in common."""

    @workflow("payout", version="1")
    class First:
        @statezero_action(name="pay_out", permissions=[IsAdminUser], serializer=UpToTen)
        @step(start=True)
        def pay(self, amount):
            return complete()

    @workflow("payout", version="2")
    class Second:
        @statezero_action(name="pay_out", response_serializer=Place)
        @step(start=True)
        def pay(self, amount: int):
            return complete()


@pytest.mark.usefixtures("versions")
def test_each_version_is_guarded_by_its_own_permissions_and_serializer(forms, workflows, admin_user):
    run = engine.using(version="1").start("payout")
    assert forms.post("pay_out", run, amount=5).status_code == 403
    forms.client.force_authenticate(admin_user)
    assert forms.post("pay_out", run, amount=11).status_code == 400
    answer = forms.post("pay_out", run, amount=10)
    assert (answer.status_code, answer.json()["status"]) == (200, "completed"), "and answered by its own serializer"


@pytest.fixture
def two_steps():
    """A workflow, which a check reports, whose two forms have one name."""

    @workflow("signing")
    class Signing:
        @statezero_action(name="sign_it")
        @step(start=True)
        def customer(self):
            return goto(self.boss)

        @statezero_action(name="sign_it", permissions=[IsAdminUser])
        @step()
        def boss(self):
            return complete()

    return Signing


def test_each_step_is_guarded_by_its_own_permissions(forms, workflows, two_steps):
    run = engine.start(two_steps)
    assert forms.post("sign_it", run).status_code == 200
    assert forms.post("sign_it", run).status_code == 403
    run.refresh_from_db()
    assert run.current_step == "boss"


def test_a_post_that_was_authorised_for_one_step_does_not_reach_another_of_that_name(workflows, two_steps):
    run = engine.start(two_steps)
    customer, boss = two_steps.customer.__workflow_action__, two_steps.boss.__workflow_action__
    with pytest.raises(FormNotOpen):
        runtime_forms.submit(run.pk, runtime_forms.Post("sign_it", {}, form=boss), lambda run: None)
    runtime_forms.submit(run.pk, runtime_forms.Post("sign_it", {}, form=customer), lambda run: None)


def test_a_form_that_is_closed_tells_its_place_only_to_those_who_may_post_it(forms, workflows, admin_user):
    @workflow("closed")
    class Closed:
        @statezero_action(name="open_form")
        @step(start=True)
        def first(self):
            return complete()

        @statezero_action(name="boss_form", permissions=[IsAdminUser])
        @step()
        def second(self):
            return complete()

    run = engine.start(Closed)
    assert forms.post("boss_form", run).status_code == 403
    forms.client.force_authenticate(admin_user)
    assert forms.post("boss_form", run).status_code == 409


@pytest.fixture
def joining():
    @workflow("joining")
    class Joining(OwnerOrStaff):
        @statezero_action(
            name="join_group",
            display=StepDisplayMetadata(
                field_display_configs=[
                    FieldDisplayConfig("group", filter_queryset={"name__startswith": "a"}),
                    FieldDisplayConfig("groups", filter_queryset={"user__isnull": False}),
                ]
            ),
        )
        @step(start=True)
        def join(self, group: Group | None = None, groups: list[Group] | None = None):
            return complete()

    return Joining


@pytest.fixture
def groups(db):
    made = {name: Group.objects.create(name=name) for name in ("anna", "bert")}
    for name in ("one", "two"):
        get_user_model().objects.create_user(name).groups.add(made["anna"])
    return made


@pytest.fixture
def owner(db):
    return get_user_model().objects.create_user("owner")


def test_what_the_filter_leaves_out_is_not_accepted(forms, workflows, joining, groups, owner):
    forms.client.force_authenticate(owner)
    run = engine.using(owner=owner).start(joining)
    for field in ({"group": groups["bert"].pk}, {"groups": [groups["bert"].pk]}):
        answer = forms.post("join_group", run, **field)
        assert (answer.status_code, list(answer.json()["detail"])) == (400, list(field))
    assert forms.post("join_group", run, group=groups["anna"].pk, groups=[groups["anna"].pk]).status_code == 200


def test_a_filter_over_a_relation_to_many_lists_each_row_once(workflows, joining, groups, owner):
    client = APIClient()
    client.force_authenticate(owner)
    run = engine.using(owner=owner).start(joining)
    fields = client.get(f"/forms/runs/{run.pk}/form/").json()["fields"]
    assert [choice["label"] for choice in fields["groups"]["choices"]] == ["anna"]


def test_rows_are_listed_to_those_alone_who_may_post_the_form_of_a_run(workflows, joining, groups, owner):
    run = engine.using(owner=owner).start(joining)
    client = APIClient()
    assert b"anna" not in client.get("/forms/actions/join_group/").content
    assert client.get(f"/forms/runs/{run.pk}/form/").status_code == 404
    client.force_authenticate(owner)
    assert b"anna" not in client.get("/forms/actions/join_group/").content
    assert b"anna" in client.get(f"/forms/runs/{run.pk}/form/").content


class ReadOnly(BasePermission):
    def has_permission(self, request, view):
        return request.method == "GET"


def test_who_may_only_read_a_form_does_not_see_its_rows(workflows, groups):
    @workflow("reading")
    class Reading:
        @statezero_action(name="read_only_form", permissions=[ReadOnly])
        @step(start=True)
        def choose(self, group: Group):
            return complete()

    assert APIClient().get(f"/forms/runs/{engine.start(Reading).pk}/form/").status_code == 403


def test_a_stranger_gets_one_answer_whatever_is_posted(forms, workflows, joining, groups):
    run = engine.start(joining)
    posted = [{"group": groups["anna"].pk}, {"group": 10**6}, {"group": "x"}, {}, {"groups": "x"}]
    assert {forms.post("join_group", run, **data).status_code for data in posted} == {404}
    assert len({forms.post("join_group", run, **data).content for data in posted}) == 1


@pytest.mark.skipif(not apps.is_installed("statezero.adaptors.django"), reason="StateZero is not installed")
def test_statezeros_schema_shows_neither_rows_nor_hidden_values(workflows, groups):
    class Slugs(serializers.Serializer):
        by_name = serializers.SlugRelatedField("name", queryset=Group.objects.all())
        by_key = serializers.PrimaryKeyRelatedField(queryset=Group.objects.all())
        hidden = serializers.HiddenField(default="open sesame")
        span = serializers.DurationField(default=timedelta(hours=1))

    @workflow("slugs")
    class Choosing:
        @statezero_action(name="choose_by_slug", serializer=Slugs)
        @step(start=True)
        def choose(self, **fields):
            return complete()

    answer = APIClient().get("/statezero/actions-schema/")
    assert answer.status_code == 200
    assert b"anna" not in answer.content
    assert b"open sesame" not in answer.content
    described = answer.json()["actions"]["choose_by_slug"]
    assert described["input_properties"]["span"]["default"] == "01:00:00"
    assert described["relationships"]["by_key"]["class_name"] == "Group"


# What a hook or a permission may answer that is no plain yes.
ODD_ANSWERS = (1, "yes", [1], object(), None, 0)


@pytest.mark.parametrize("answer", ODD_ANSWERS)
def test_only_true_from_a_hook_grants(forms, workflows, answer, caplog):
    @workflow("odd_hook")
    class OddHook:
        @classmethod
        def has_run_permission(cls, request, run):
            return answer

        @statezero_action(name="odd_hook_form")
        @step(start=True)
        def ask(self):
            return complete()

    assert forms.post("odd_hook_form", engine.start(OddHook)).status_code == 404
    assert ("only True does" in caplog.text) is bool(answer)


class Odd(BasePermission):
    """Answers with whatever is wanted."""

    answer = object()

    def has_permission(self, request, view):
        return self.answer

    def has_object_permission(self, request, view, obj):
        return True


class OddOfRun(Odd):
    def has_permission(self, request, view):
        return True

    def has_object_permission(self, request, view, obj):
        return self.answer


@pytest.mark.parametrize("answer", ODD_ANSWERS)
@pytest.mark.parametrize("permission", [Odd, Odd & AllowAny, AllowAny & Odd, ~Odd, Odd | Odd, OddOfRun, ~OddOfRun])
def test_only_true_from_a_permission_grants_however_it_is_composed(answer, permission, workflows, monkeypatch):
    monkeypatch.setattr(Odd, "answer", answer)

    @workflow("odd_permission")
    class OddPermission:
        @statezero_action(name="odd_permission_form", permissions=[permission])
        @step(start=True)
        def ask(self):
            return complete()

    body = {"workflow_run_id": engine.start(OddPermission).pk}
    assert APIClient().post("/forms/actions/odd_permission_form/", body, format="json").status_code in (403, 404)


class Late(BasePermission):
    async def has_permission(self, request, view):
        return False


class LateForData:
    def has_permission(self, request, action_name):
        return True

    async def has_action_permission(self, request, action_name, data):
        return False


@pytest.mark.parametrize("permissions", [Late, [Late()], [Late & AllowAny], [AllowAny | ~Late], [LateForData]])
def test_an_asynchronous_permission_is_refused_where_it_is_declared(permissions):
    with pytest.raises(DeclarationError, match=r"must be a plain method"):
        statezero_action(permissions=permissions)(lambda self: complete())


def test_a_permission_that_turns_out_to_be_asynchronous_grants_nothing(forms, workflows):
    async def late():
        return True

    class Disguised(BasePermission):
        def has_permission(self, request, view):
            return late()

    @workflow("disguised")
    class Guarded:
        @statezero_action(name="disguised_form", permissions=[~Disguised])
        @step(start=True)
        def ask(self):
            return complete()

    assert forms.post("disguised_form", engine.start(Guarded)).status_code == 403


def test_an_asynchronous_hook_is_refused_where_it_is_declared():
    class Base:
        @classmethod
        async def has_run_permission(cls, request, run):
            return False

    with pytest.raises(DeclarationError, match=r"has_run_permission.* must be a plain classmethod"):

        @workflow("late_hook")
        class Late(Base):
            @step(start=True)
            def only(self):
                return complete()


def only_even(request):
    return WorkflowRun.objects.filter(tags__name="even") if request.user.is_anonymous else Q()


def test_runs_that_the_project_hides_are_not_there(forms, workflows, settings, owner):
    @workflow("tagged")
    class Tagged:
        @statezero_action(name="tagged_form")
        @step(start=True)
        def ask(self):
            return complete()

    settings.DJANGO_AI = {"RUNS_VISIBLE_TO": f"{__name__}.only_even"}
    hidden, shown = engine.start(Tagged), engine.using(tags=["even", "x"]).start(Tagged)
    for run, status in ((hidden, 404), (shown, 200)):
        assert forms.get(f"runs/{run.pk}/").status_code == status
        assert forms.get(f"runs/{run.pk}/form/").status_code == status
        assert forms.post("tagged_form", run).status_code == status
    forms.client.force_authenticate(owner)
    assert forms.post("tagged_form", hidden).status_code == 200


def test_a_number_that_no_run_can_have_is_no_run(forms, workflows, two_steps):
    for number in (LARGEST_NUMBER + 1, 10**4000):
        answer = forms.post("sign_it", number)
        assert (answer.status_code, len(answer.content) < 300) == (404, True)
        assert forms.get(f"runs/{number}/").status_code == 404
