"""The workloads in this project: a small Django project as a user would write it."""
