"""Which names of events something brings about, as models and the project's files say."""

from pathlib import Path

import pytest

from django_ai.automation.events import names

EMITTING = """
from django_ai.automation.events import emit, on_event
from django_ai.automation.workflows.core import event_workflow, wait_for_event

PAID = "paid_by_constant"

def pay(order, kind):
    emit("paid_by_text", order)
    emit(PAID, order)
    emit(f"paid_{kind}_by_pattern", order)

@on_event("paid_never")
def handle(event): ...

@event_workflow("paid_for_nothing")
class Waits:
    def wait(self):
        return wait_for_event("paid_in_vain", timeout=5)
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The only files of the project."""
    paths = [tmp_path / "emitting.py", tmp_path / "broken.py", tmp_path / "gone.py", tmp_path / "binary.py"]
    paths[0].write_text(EMITTING)
    paths[1].write_text("emit('paid_in_vain'")
    paths[3].write_bytes(b"\xff\xfe")
    monkeypatch.setattr(names, "_files", lambda: set(paths))
    return paths[0]


def test_names_that_models_declare_or_code_has_are_brought_about(project):
    known = {"order_placed", "paid_by_text", "paid_by_constant", "paid_late_by_pattern"}
    assert names.unheard_of({*known, "unheard"}) == {"unheard"}


def test_names_that_stand_where_the_code_listens_are_brought_about_by_nothing(project):
    heard = {"paid_never", "paid_for_nothing", "paid_in_vain"}
    assert names.unheard_of(heard) == heard


def test_the_calls_of_emit_are_found_with_their_lines(project):
    [emitted] = names.emitted()
    assert (emitted.name, emitted.place) == ("paid_by_text", f"{project}:8")


def test_the_nearest_name_is_suggested():
    assert names.hint("order_plaecd", names.declared()) == "Did you mean 'order_placed'?"
    assert "EventDefinition" in names.hint("zzz", names.declared())


def test_the_files_of_the_project_are_read_and_no_installed_ones():
    files = names._files()
    assert Path(__file__).parents[2] / "app" / "models.py" in files
    assert Path(__file__) in files
    assert not any("site-packages" in path.parts or "django_ai" in path.parts for path in files)
