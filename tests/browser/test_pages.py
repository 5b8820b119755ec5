"""A person goes through a workflow in a browser."""

import pytest
from django.core.exceptions import ValidationError
from playwright.sync_api import expect
from pydantic import BaseModel
from pydantic_core import to_jsonable_python
from rest_framework import serializers

from django_ai.automation.workflows.core import (
    complete,
    engine,
    fail,
    get_context,
    goto,
    step,
    wait,
    workflow,
)
from django_ai.automation.workflows.metadata import FieldDisplayConfig, FieldGroup, StepDisplayMetadata
from django_ai.automation.workflows.permissions import OwnerOrStaff
from django_ai.automation.workflows.statezero_action import statezero_action

AMENITIES = [("wifi", "Wi-Fi"), ("pool", "Pool"), ("parking", "Parking")]


class PlaceSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=60)
    kind = serializers.ChoiceField(choices=[("house", "House"), ("boat", "Boat")])
    bedrooms = serializers.IntegerField(min_value=1, max_value=20)
    price = serializers.DecimalField(max_digits=7, decimal_places=2)
    opened = serializers.DateField(required=False, allow_null=True)
    pets = serializers.BooleanField(default=False)
    amenities = serializers.MultipleChoiceField(choices=AMENITIES, allow_empty=False)
    tags = serializers.ListField(child=serializers.CharField(), required=False, default=list)
    story = serializers.CharField(max_length=500, required=False, allow_blank=True)
    email = serializers.EmailField()


DISPLAY = StepDisplayMetadata(
    display_title="Your place",
    display_description="Tell us what guests should know.",
    field_groups=[
        FieldGroup("The place", "What it is.", ["name", "kind", "bedrooms", "price", "opened", "pets"]),
        FieldGroup("How to reach you", field_names=["email"]),
    ],
    field_display_configs=[FieldDisplayConfig("email", display_help_text="Guests do not see it.")],
)


@pytest.fixture
def onboarding(owner):
    """A run that waits for its first form."""

    @workflow("onboarding")
    class Onboarding(OwnerOrStaff):
        class Context(BaseModel):
            name: str = ""
            answers: dict = {}

        @statezero_action(name="describe", serializer=PlaceSerializer)
        @step(start=True, display=DISPLAY)
        def describe(self, name: str, **answers):
            if name == "Atlantis":
                raise ValidationError({"name": "Atlantis has sunk."})
            if name == "Bug":
                raise RuntimeError("not for the public")
            get_context().name = name
            get_context().answers = to_jsonable_python({**answers, "amenities": sorted(answers["amenities"])})
            return fail("no boats") if answers["kind"] == "boat" else goto(self.verify, progress=0.5)

        @step()
        def verify(self):
            return wait.for_signal(
                "verified",
                display_title="We are checking",
                display_subtitle="You need not do anything.",
                display_waiting_for="the land register",
            )

        @step()
        def finish(self):
            return complete(display_title="Welcome! 🎉", display_subtitle=f"{self.context.name} is live.")

    return engine.using(owner=owner).start(Onboarding)


def fill(page, **changes):
    page.get_by_label("Name", exact=True).fill(changes.get("name", "Sea View"))
    page.get_by_label("Kind").select_option(label=changes.get("kind", "House"))
    page.get_by_label("Bedrooms").fill("3")
    page.get_by_label("Price").fill("99.50")
    page.get_by_label("Wi-Fi").check()
    page.get_by_label("Email").fill(changes.get("email", "ada@example.com"))


def submit(page):
    page.get_by_role("button", name="Submit").click()


def title(page):
    return page.locator("workflow-run .workflow-run__title")


def test_a_person_goes_from_the_form_over_the_waiting_screen_to_success(onboarding, visit):
    page = visit(onboarding)
    expect(title(page)).to_have_text("Your place")
    expect(page.get_by_role("group", name="How to reach you")).to_contain_text("Guests do not see it.")
    fill(page)
    page.get_by_label("Opened").fill("2026-03-01")
    page.get_by_label("Pets").check()
    page.get_by_label("Parking").check()
    page.get_by_label("Tags").fill("sea\nquiet")
    page.get_by_label("Story").fill("Once upon a time.")
    submit(page)
    expect(title(page)).to_have_text("We are checking")
    expect(title(page)).to_be_focused()
    expect(page.locator("workflow-run")).to_contain_text("Waiting for: the land register")
    expect(page.get_by_role("progressbar", name="Progress")).to_have_attribute("value", "0.5")
    onboarding.refresh_from_db()
    assert onboarding.data == {
        "name": "Sea View",
        "answers": {
            "kind": "house",
            "bedrooms": 3,
            "price": "99.50",
            "opened": "2026-03-01",
            "pets": True,
            "amenities": ["parking", "wifi"],
            "tags": ["sea", "quiet"],
            "story": "Once upon a time.",
            "email": "ada@example.com",
        },
    }
    engine.signal("verified", run=onboarding)
    # No reload: the page looks by itself.
    expect(title(page)).to_have_text("Welcome! 🎉")
    expect(page.locator("workflow-run")).to_contain_text("Sea View is live.")
    expect(page.get_by_role("status")).to_have_text("Welcome! 🎉")


def test_an_ended_run_is_not_asked_for_again(onboarding, visit):
    engine.cancel(onboarding)
    page = visit(onboarding)
    expect(title(page)).to_have_text("Cancelled")
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.clock.install()
    page.clock.run_for(60_000)
    assert requests == []


def test_a_wrong_e_mail_is_shown_at_its_field_and_nothing_typed_is_lost(onboarding, visit):
    page = visit(onboarding)
    fill(page, email="nobody")
    submit(page)
    email = page.get_by_label("Email")
    expect(email).to_have_attribute("aria-invalid", "true")
    expect(email).to_be_focused()
    expect(email).to_have_accessible_description("Guests do not see it. Enter a valid email address.")
    expect(page.get_by_role("alert")).to_have_text("Please correct the marked fields.")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Sea View")
    email.fill("ada@example.com")
    submit(page)
    expect(title(page)).to_have_text("We are checking")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_the_first_of_several_wrong_fields_gets_the_focus(onboarding, visit):
    page = visit(onboarding)
    expect(title(page)).to_be_visible()
    submit(page)
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    expect(page.locator("[aria-invalid=true]")).to_have_count(6)


def test_what_the_step_itself_refuses_is_shown_at_its_field(onboarding, visit):
    page = visit(onboarding)
    fill(page, name="Atlantis")
    submit(page)
    expect(page.get_by_label("Name", exact=True)).to_have_accessible_description("Atlantis has sunk.")


def test_a_bug_keeps_the_form_and_says_that_nothing_was_saved(onboarding, visit):
    page = visit(onboarding)
    fill(page, name="Bug")
    submit(page)
    expect(page.get_by_role("alert")).to_contain_text("nothing was saved")
    page.get_by_label("Name", exact=True).fill("No bug")
    submit(page)
    expect(title(page)).to_have_text("We are checking")


def test_a_run_that_fails_says_so(onboarding, visit):
    page = visit(onboarding)
    fill(page, kind="Boat")
    submit(page)
    expect(title(page)).to_have_text("This did not work out")


def test_a_second_tab_that_submits_later_is_told_and_shown_where_the_run_is(onboarding, visit):
    first, second = visit(onboarding), visit(onboarding)
    fill(first)
    fill(second)
    second.evaluate("document.querySelector('workflow-run').look = () => {}")  # it has not looked yet
    submit(first)
    expect(title(first)).to_have_text("We are checking")
    submit(second)
    expect(second.get_by_role("alert")).to_contain_text("completed elsewhere")
    expect(title(second)).to_have_text("We are checking")


def test_a_second_tab_that_only_looks_moves_on_by_itself(onboarding, visit):
    first, second = visit(onboarding), visit(onboarding)
    expect(title(second)).to_have_text("Your place")
    fill(first)
    submit(first)
    expect(title(second)).to_have_text("We are checking")
    expect(second.get_by_role("alert")).to_contain_text("completed elsewhere")


def test_the_keyboard_alone_is_enough(onboarding, visit):
    page = visit(onboarding)
    expect(title(page)).to_be_visible()
    keyboard = page.keyboard
    for text in ("Sea View", "House", "3", "99.50"):
        keyboard.press("Tab")
        keyboard.type(text)
    for _ in range(3):  # the three parts of a date
        keyboard.press("Tab")
    while page.evaluate("document.activeElement.name") != "pets":
        keyboard.press("Tab")
    keyboard.press("Space")
    keyboard.press("Tab")
    keyboard.type("ada@example.com")
    keyboard.press("Tab")
    keyboard.press("Space")
    keyboard.press("Enter")
    expect(title(page)).to_have_text("We are checking")
    onboarding.refresh_from_db()
    assert (onboarding.data["answers"]["pets"], onboarding.data["answers"]["amenities"]) == (True, ["wifi"])


def test_a_stranger_sees_nothing(onboarding, visit, browser, live_server):
    visit(onboarding)
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{live_server.url}/page/{onboarding.pk}/")
    expect(title(page)).to_have_text("There is nothing here for you to see.")
    context.close()


def test_what_users_wrote_is_shown_as_text(owner, visit):
    @workflow("hostile")
    class Hostile:
        @step(start=True)
        def end(self):
            return complete(display_title="<img src=x onerror=alert(1)>")

    page = visit(engine.using(owner=owner).start(Hostile))
    expect(title(page)).to_have_text("<img src=x onerror=alert(1)>")


SCREENS = ["form", "errors", "waiting", "completed", "failed"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_no_screen_has_a_serious_fault_of_accessibility(onboarding, visit, screen, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = visit(onboarding, color_scheme=scheme)
    expect(title(page)).to_be_visible()
    if screen == "errors":
        submit(page)
        expect(page.locator("[aria-invalid=true]").first).to_be_visible()
    if screen in ("waiting", "completed", "failed"):
        fill(page, kind="Boat" if screen == "failed" else "House")
        submit(page)
        expect(page.locator("form")).to_have_count(0)
    if screen == "completed":
        engine.signal("verified", run=onboarding)
        expect(title(page)).to_have_text("Welcome! 🎉")
    found = axe.Axe().run(page).response["violations"]
    serious = [fault for fault in found if fault["impact"] in ("serious", "critical")]
    assert [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in serious] == []


def test_a_phone_shows_it_without_scrolling_sideways(onboarding, visit):
    page = visit(onboarding, viewport={"width": 320, "height": 640})
    expect(title(page)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
