"""Times as people say them: "3 hours", "tomorrow 12:00"."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from django.utils import formats, timezone

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def duration(span: timedelta) -> str:
    """Return a duration in its largest unit or two, as ``2 days 3 hours``; short ones exactly, as ``0.35 s``."""
    seconds = max(span.total_seconds(), 0.0)
    if seconds < 60:
        return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.3g} s"
    for index, (unit, size) in enumerate(_UNITS):
        count, rest = divmod(int(seconds), size)
        if count:
            smaller = _counted(rest // _UNITS[index + 1][1], _UNITS[index + 1][0]) if count < 10 else ""
            return f"{_counted(count, unit)} {smaller}".strip()
    return "0 s"


def compact(span: timedelta) -> str:
    """Return a duration that fits into a column, as ``9 min 22 s``."""
    seconds = max(span.total_seconds(), 0.0)
    for size, unit, part, smaller in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} {seconds % size // part:.0f} {smaller}"
    return duration(span)


def short(span: timedelta) -> str:
    """Return a duration in its largest unit, as ``3 h``."""
    seconds = max(span.total_seconds(), 0.0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def moment(at: datetime, now: datetime) -> str:
    """Return a moment as seen from ``now``, in the current time zone."""
    local, today = timezone.localtime(at), timezone.localdate(now)
    clock = local.strftime("%H:%M:%S" if abs(at - now) < timedelta(minutes=5) else "%H:%M")
    return f"{_day(local.date(), today)} {clock}".strip()


def _day(day: date, today: date) -> str:
    near = {-1: "yesterday", 0: "", 1: "tomorrow"}
    distance = (day - today).days
    if distance in near:
        return near[distance]
    return formats.date_format(day, "j M" if day.year == today.year else "j M Y")


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}" if count else ""
