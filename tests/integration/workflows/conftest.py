"""Workflows that a test declares are forgotten when it ends."""

import pytest

from django_ai.automation.workflows.authoring.registry import registry


@pytest.fixture(autouse=True)
def forget_declared_workflows():
    before = set(map(id, registry))
    yield
    for definition in list(registry):
        if id(definition) not in before:
            registry.remove(definition)
