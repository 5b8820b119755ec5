"""Addresses of a project that serves no runs."""

urlpatterns: list[object] = []
