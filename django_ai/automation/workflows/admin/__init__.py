"""The admin's pages of workflows and their runs; loaded, and so registered, by Django's admin alone."""

from . import runs, workflows

__all__ = ["runs", "workflows"]
