"""The element in front ends: other names for its file, other texts, components of a project, files."""

import re

import pytest
from django.core.files.uploadedfile import UploadedFile
from django.core.management import call_command
from django.utils import translation
from playwright.sync_api import expect
from pydantic import BaseModel

from django_ai.automation.workflows.core import complete, engine, goto, step, workflow
from django_ai.automation.workflows.metadata import FieldDisplayConfig, StepDisplayMetadata
from django_ai.automation.workflows.statezero_action import statezero_action

STORAGES = "django.contrib.staticfiles.storage"
STARS = StepDisplayMetadata(field_display_configs=[FieldDisplayConfig("stars", "Stars", filter_queryset={"most": 5})])


@pytest.fixture
def rating(owner):
    """A run that asks for stars, by a component that the project has to make."""

    @workflow("rating")
    class Rating:
        class Context(BaseModel):
            stars: int = 0

        @statezero_action(name="rate")
        @step(start=True, display=STARS)
        def rate(self, stars: int):
            self.context.stars = stars
            return complete(display_title="Thank you")

    return engine.using(owner=owner).start(Rating)


@pytest.fixture
def collect(settings, tmp_path):
    """Return a function that collects the static files into a storage, as for production."""

    def collect(storage):
        settings.STATIC_ROOT, settings.STATIC_URL = tmp_path, "/files/"
        settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": f"{STORAGES}.{storage}"}}
        call_command("collectstatic", interactive=False, verbosity=0)
        return tmp_path / "django_ai" / "workflows"

    return collect


def title(page):
    return page.locator("workflow-run .workflow-run__title")


def test_hashed_names_are_enough_where_the_plain_ones_are_not_served(rating, collect, visit):
    hashed = collect("ManifestStaticFilesStorage")
    for plain in ("workflow-run.js", "workflow-run.css"):
        (hashed / plain).unlink()
    page = visit(rating)
    expect(title(page)).to_have_text("Rate")
    assert re.search(r"workflow-run\.\w{12}\.js", page.content())
    page.get_by_label("Stars").fill("3")
    page.get_by_role("button", name="Submit").click()
    expect(title(page)).to_have_text("Thank you")


# With the first the page has the file by two names, and so as two modules; with the second by one.
@pytest.mark.parametrize("storage", ["ManifestStaticFilesStorage", "StaticFilesStorage"])
def test_a_project_makes_fields_and_texts_its_own_by_the_plain_name_of_the_file(rating, visit, collect, storage):
    collect(storage)
    page = visit(rating, query="?own")
    stars = page.get_by_role("slider", name="Stars")
    expect(stars).to_have_attribute("max", "5")
    page.get_by_role("button", name="Hand in").click()
    expect(title(page)).to_have_text("Thank you")
    rating.refresh_from_db()
    assert rating.data == {"stars": 4}


def test_the_page_is_in_the_language_of_its_request(rating, visit, settings):
    settings.LANGUAGE_CODE = "de"
    with translation.override("de"):
        page = visit(rating)
    expect(page.get_by_role("button", name="Absenden")).to_be_visible()


def test_an_element_whose_run_is_changed_in_place_shows_the_other_run(rating, visit, owner):
    other = engine.using(owner=owner).start("rating")
    engine.cancel(other)
    page = visit(rating)
    expect(title(page)).to_have_text("Rate")
    element = page.locator("workflow-run")
    element.evaluate(f"element => element.setAttribute('run-id', '{other.pk}')")
    expect(title(page)).to_have_text("Cancelled")
    element.evaluate(f"element => element.setAttribute('run-id', '{rating.pk}')")
    expect(title(page)).to_have_text("Rate")


def test_an_element_that_is_moved_within_the_page_is_shown_again(rating, visit):
    engine.cancel(rating)
    page = visit(rating)
    expect(title(page)).to_have_text("Cancelled")
    page.locator("workflow-run").evaluate("element => document.body.prepend(element)")
    expect(title(page)).to_have_text("Cancelled")


@pytest.fixture
def receipt(owner):
    """A run that asks for files beside all else."""

    @workflow("receipts")
    class Receipts:
        class Context(BaseModel):
            seen: list = []

        @statezero_action(name="hand_in_receipts")
        @step(start=True)
        def hand_in(self, receipt: UploadedFile, pages: list[UploadedFile], extra: dict[str, int], tags: list[str]):
            self.context.seen = [receipt.read().decode(), [page.name for page in pages], extra, tags]
            return goto(self.end)

        @step()
        def end(self):
            return complete(display_title="Thank you")

    return engine.using(owner=owner).start(Receipts)


def paper(name):
    return {"name": name, "mimeType": "text/plain", "buffer": "42 €".encode()}


def test_files_are_sent_along(receipt, visit):
    page = visit(receipt)
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_label("Receipt")).to_have_accessible_description("No file was submitted.")
    page.get_by_label("Receipt").set_input_files(paper("receipt.txt"))
    page.get_by_label("Pages").set_input_files([paper("one.txt"), paper("two.txt")])
    page.get_by_label("Extra").fill('{"rate": 3}')
    page.get_by_label("Tags").fill("sea\nquiet")
    page.get_by_role("button", name="Submit").click()
    expect(title(page)).to_have_text("Thank you")
    receipt.refresh_from_db()
    assert receipt.data == {"seen": ["42 €", ["one.txt", "two.txt"], {"rate": 3}, ["sea", "quiet"]]}
