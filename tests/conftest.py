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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Let the texts that a test captured be sent between processes, though it tries texts that are no Unicode."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report
