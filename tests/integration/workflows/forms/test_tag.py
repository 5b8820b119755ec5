"""{% workflow_run run %} puts a run into a page."""

import re

import pytest
from django.contrib.staticfiles import finders
from django.core.exceptions import ImproperlyConfigured
from django.template import Context, Template
from django.test import RequestFactory, override_settings

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
    files = re.findall(r'/static/([^"]+)|static/([^"]+)', html)
    assert len(files) == 2
    for found in files:
        assert finders.find("".join(found)), found


@override_settings(ROOT_URLCONF="django.contrib.auth.urls")
def test_without_the_apps_urls_the_tag_says_what_to_do(review):
    with pytest.raises(ImproperlyConfigured, match="add path"):
        Template(PAGE).render(Context({"run": review}))
