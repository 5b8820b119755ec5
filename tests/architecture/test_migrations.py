"""The migrations say what the models say."""

from io import StringIO

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command


@pytest.mark.django_db
def test_no_migration_is_missing():
    ours = [config.label for config in apps.get_app_configs() if config.name.startswith("django_ai.")]
    assert ours
    output = StringIO()
    try:
        call_command("makemigrations", *ours, check=True, dry_run=True, stdout=output, stderr=output)
    except (SystemExit, CommandError) as error:
        pytest.fail(f"{error}\n{output.getvalue()}")
