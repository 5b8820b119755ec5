"""The form of the documentation works as it is printed."""

import re
from pathlib import Path

from django.contrib.auth import get_user_model

from django_ai.automation.workflows.core import engine

DOCUMENT = Path(__file__).parents[4] / "docs" / "forms.md"


def test_the_documents_form_books_leave(forms, workflows):
    [code, *_] = re.findall(r"```python\n# workflows.py\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    module = {"__name__": "tests.documented"}
    exec(code, module)
    user = get_user_model().objects.create_user("ann")
    run = engine.using(owner=user).start(module["Leave"])
    leave = {"first_day": "2027-01-04", "days": 5}
    assert forms.post("ask_for_leave", run, **leave).status_code == 404
    forms.client.force_authenticate(user)
    assert forms.post("ask_for_leave", run, **leave).status_code == 200
    workflows.drain()
    assert forms.get(f"runs/{run.pk}/").json()["completion_display"] == {
        "display_title": "5 days are booked",
        "display_subtitle": None,
    }


def test_every_picture_of_the_document_is_there():
    pictures = re.findall(r"\]\((images/[^)]+)\)", DOCUMENT.read_text())
    assert pictures
    assert [picture for picture in pictures if not (DOCUMENT.parent / picture).exists()] == []
