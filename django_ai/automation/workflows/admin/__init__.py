"""The admin's pages of workflows and their runs; loaded, and so registered, by Django's admin alone."""

from . import health, runs, workflows

__all__ = ["health", "runs", "workflows"]
