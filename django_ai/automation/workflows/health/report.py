"""A report on health: checks, each with a grade, what was measured, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

from ...conf import settings


class Grade(IntEnum):
    """How bad it is; also the exit code of ``manage.py workflows health``."""

    OK = 0
    WARN = 1
    FAIL = 2

    @property
    def label(self) -> str:
        """The grade as one word."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        grade: how it is.
        value: what was measured, as a sentence or less.
        advice: what to do; empty where all is well.
        data: the measured numbers, JSON-ready.
    """

    name: str
    grade: Grade
    value: str
    advice: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All checks of one moment."""

    checks: tuple[Check, ...]
    at: datetime | None = None

    @property
    def grade(self) -> Grade:
        """The worst grade of all."""
        return max((check.grade for check in self.checks), default=Grade.OK)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready data."""
        return {
            "status": self.grade.label,
            "at": self.at.isoformat() if self.at else None,
            "checks": [
                {
                    "name": check.name,
                    "status": check.grade.label,
                    "value": check.value,
                    "advice": check.advice,
                    "data": dict(check.data),
                }
                for check in self.checks
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From when on something is late, silent or stuck."""

    silent: timedelta = timedelta(seconds=60)
    late: timedelta = timedelta(seconds=30)
    stuck: timedelta = timedelta(seconds=300)

    @classmethod
    def configured(cls) -> Thresholds:
        """Return the project's thresholds; what speaks every ten seconds is not silent after five."""
        silent = max(settings.SILENT_AFTER_SECONDS, 3 * settings.PULSE_SECONDS)
        return cls(
            silent=timedelta(seconds=silent),
            late=timedelta(seconds=settings.LATE_AFTER_SECONDS),
            stuck=timedelta(seconds=settings.STUCK_AFTER_SECONDS),
        )
