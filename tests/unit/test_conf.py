"""The settings: defaults, overrides that are read live, and what `manage.py check` says of mistakes."""

import pytest

from django_ai.automation.conf import Settings, check_settings, known, settings


def test_every_setting_has_a_default_that_its_own_check_accepts():
    assert known()
    assert {name: item.fault(item.default) for name, item in known().items()} == dict.fromkeys(known())


def test_every_setting_says_what_it_is_for():
    assert [name for name, item in known().items() if not item.doc.endswith(".")] == []


def test_a_value_is_read_when_it_is_asked_for(settings):
    from django_ai.automation.conf import settings as ours

    assert Settings.LEASE_SECONDS.default == ours.LEASE_SECONDS
    settings.DJANGO_AI = {"LEASE_SECONDS": 5}
    assert ours.LEASE_SECONDS == 5


def test_a_setting_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError):
        settings.LEASE_SECOND  # noqa: B018 - the access is the test


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"LEASE_SECOND": 5}, "DJANGO_AI['LEASE_SECOND'] is not a setting of django_ai."),
        ({"LEASE_SECONDS": "5"}, "DJANGO_AI['LEASE_SECONDS'] must be an integer or a number, not '5'."),
        ({"LEASE_SECONDS": True}, "DJANGO_AI['LEASE_SECONDS'] must be an integer or a number, not True."),
        ({"BATCH_SIZE": 1.5}, "DJANGO_AI['BATCH_SIZE'] must be an integer, not 1.5."),
        ({"BATCH_SIZE": 0}, "DJANGO_AI['BATCH_SIZE'] must be at least 1, not 0."),
        ({"QUEUE": 7}, "DJANGO_AI['QUEUE'] must be a string or None, not 7."),
        (["QUEUE"], "DJANGO_AI must be a dict, not ['QUEUE']."),
    ],
)
def test_a_mistake_is_reported(settings, given, complaint):
    settings.DJANGO_AI = given
    assert [message.msg for message in check_settings(None)] == [complaint]


def test_a_misspelt_key_is_answered_with_the_keys_that_exist(settings):
    settings.DJANGO_AI = {"LEASE_SECOND": 5}
    assert "LEASE_SECONDS" in check_settings(None)[0].hint


@pytest.mark.parametrize("given", [{}, {"QUEUE": None}, {"QUEUE": "slow", "TICK_SECONDS": 0.5, "BATCH_SIZE": 10}])
def test_what_is_right_is_not(settings, given):
    settings.DJANGO_AI = given
    assert check_settings(None) == []
