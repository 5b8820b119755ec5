"""What moves change in a context can be told, and undone."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from django_ai.automation.workflows.machine.changes import between, is_omitted, undo

VALUES = st.sampled_from([None, True, 7, "text", [1, 2], {"key": []}])
CONTEXTS = st.dictionaries(st.sampled_from("abcd"), VALUES)


def test_only_fields_that_differ_are_told():
    assert between({"a": 1, "b": 2}, {"a": 1, "b": 3}, 100) == {"b": [2, 3]}


@given(st.lists(CONTEXTS, min_size=2))
def test_undoing_all_changes_gives_the_first_context(history):
    steps = [between(before, after, 10_000) for before, after in pairwise(history)]
    assert undo(history[-1], reversed(steps)) == (history[0], set())


def test_a_field_that_was_not_there_is_gone_when_it_is_undone():
    changes = between({}, {"new": None}, 100)
    assert undo({"new": None}, [changes]) == ({}, set())


def test_a_value_too_large_is_told_by_its_size_and_is_lost_to_undoing():
    changes = between({"text": "x" * 100}, {"text": "short"}, 50)
    assert is_omitted(changes["text"][0])
    assert undo({"text": "short"}, [changes]) == ({"text": "short"}, {"text"})


def test_what_was_lost_is_found_again_where_an_earlier_change_kept_it():
    large = "x" * 100
    earlier, later = between({"text": "a"}, {"text": large}, 50), between({"text": large}, {"text": "b"}, 50)
    assert undo({"text": "b"}, [later, earlier]) == ({"text": "a"}, set())
