"""Run workflows in a test: no worker, no broker, and a clock that the test moves."""

from .kit import Workflows, workflow_testing

__all__ = ["Workflows", "workflow_testing"]
