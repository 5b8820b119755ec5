"""Fixtures that every test may use."""

import pytest


@pytest.fixture(autouse=True)
def forget_declared_workflows():
    """Workflows that a test declares are forgotten when it ends."""
    from django_ai.automation.workflows.authoring.registry import registry

    before = set(map(id, registry))
    yield
    for definition in list(registry):
        if id(definition) not in before:
            registry.remove(definition)
