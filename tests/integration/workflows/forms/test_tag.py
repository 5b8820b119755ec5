"""{% workflow_run run %} puts a run into a page."""

import json
import re
import struct
from gettext import GNUTranslations
from html import unescape
from importlib.resources import files
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.core.exceptions import ImproperlyConfigured
from django.template import Context, Template
from django.test import RequestFactory, override_settings
from django.utils import translation

from django_ai.automation.workflows.templatetags.workflows import TEXTS

PAGE = "{% load workflows %}{% workflow_run run %}"


def test_the_tag_names_run_endpoint_and_token(review):
    request = RequestFactory().get("/")
    html = Template(PAGE).render(Context({"run": review, "request": request}))
    assert re.search(rf'<workflow-run run-id="{review.pk}" endpoint="/(forms|statezero)/" csrf-token="\w{{64}}">', html)


def test_the_tag_takes_an_id_and_another_endpoint(db):
    html = Template('{% load workflows %}{% workflow_run 7 endpoint="https://api.example/sz/" %}').render(Context())
    assert '<workflow-run run-id="7" endpoint="https://api.example/sz/" csrf-token="">' in html


def test_a_page_needs_no_inline_script_and_all_its_files_are_there(review):
    html = Template(PAGE).render(Context({"run": review}))
    assert re.findall(r"<script[^>]*>(.*?)</script>", html) == [""]
    found = re.findall(r'/static/([^"]+)|static/([^"]+)', html)
    assert len(found) == 2, "one style sheet and one script, which imports no other"
    for parts in found:
        assert finders.find("".join(parts)), parts


SCRIPT = Path(finders.find("django_ai/workflows/workflow-run.js"))


def test_each_text_of_the_page_can_be_translated():
    block = re.search(r"const TEXTS = {(.*?)};", SCRIPT.read_text(), re.DOTALL)
    assert dict(re.findall(r'(\w+): "([^"]*)"', block[1])) == TEXTS


def test_the_page_needs_no_other_file_whatever_the_static_files_storage_names_it():
    assert re.findall(r"^\s*(?:import|export)\b.*\bfrom\b.*|\bimport\(.*", SCRIPT.read_text(), re.MULTILINE) == []


def test_the_page_speaks_the_language_of_the_request(review):
    with translation.override("de"):
        html = Template(PAGE).render(Context({"run": review}))
    texts = json.loads(unescape(re.search(r' texts="([^"]*)"', html)[1]))
    assert texts.keys() == TEXTS.keys()
    assert texts["submit"] == "Absenden"
    assert " texts=" not in Template(PAGE).render(Context({"run": review}))


def test_the_compiled_translation_is_that_of_its_source():
    directory = files("django_ai.automation.workflows") / "locale" / "de" / "LC_MESSAGES"
    source = re.findall(r'^msgid "(.+)"\nmsgstr "(.+)"$', (directory / "django.po").read_text(), re.MULTILINE)
    with (directory / "django.mo").open("rb") as compiled:
        catalogue = GNUTranslations(compiled)
    assert set(TEXTS.values()) <= {text for text, _ in source}
    assert [text for text, translated in source if catalogue.gettext(text) != translated] == []


def test_a_project_translates_texts_anew_in_its_own_locale_directory(review, tmp_path):
    directory = tmp_path / "de" / "LC_MESSAGES"
    directory.mkdir(parents=True)
    write_catalogue(directory / "django.mo", {"": "Content-Type: text/plain; charset=UTF-8\n", "Submit": "Los!"})
    with override_settings(LOCALE_PATHS=[tmp_path]), translation.override("de"):
        html = Template(PAGE).render(Context({"run": review}))
    assert json.loads(unescape(re.search(r' texts="([^"]*)"', html)[1]))["submit"] == "Los!"


def write_catalogue(path, texts):
    """Write a compiled catalogue, which is a table of lengths and offsets before the texts themselves."""
    pairs = sorted((key.encode(), value.encode()) for key, value in texts.items())
    count, start = len(pairs), 28 + 16 * len(pairs)
    tables, blob = [[], []], b""
    for column in (0, 1):
        for pair in pairs:
            tables[column] += [len(pair[column]), start + len(blob)]
            blob += pair[column] + b"\0"
    numbers = [0x950412DE, 0, count, 28, 28 + 8 * count, 0, start, *tables[0], *tables[1]]
    path.write_bytes(struct.pack(f"<{len(numbers)}I", *numbers) + blob)


@override_settings(ROOT_URLCONF="django.contrib.auth.urls")
def test_without_the_apps_urls_the_tag_says_what_to_do(review):
    with pytest.raises(ImproperlyConfigured, match="add path"):
        Template(PAGE).render(Context({"run": review}))
