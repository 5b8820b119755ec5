"""The one question of every admin page: does anything move at all?"""

from __future__ import annotations

from django.db import Error

from ... import clock
from ..models import Pulse
from ..runtime import dispatch, pulses, rows
from .facts import Facts, Part
from .gathering import project
from .judging import scheduler_check
from .report import Check, Grade, Thresholds


def alarm() -> Check | None:
    """Return the check of the scheduler if it fails, else None. One query by key; never raises."""
    try:
        found = Pulse.objects.using(rows.alias()).filter(pk__in=(pulses.BEAT, pulses.TICK)).annotate(db_now=clock.now())
        parts = {pulse.name: (Part(at=pulse.at), pulse.db_now) for pulse in found}
    except Error:
        rows.leave_broken_connection()
        return None
    facts = Facts(
        now=next((now for _, now in parts.values()), None),
        project=project(),
        tick_queue=dispatch.default_queue(),
        beat=parts.get(pulses.BEAT, (Part(), None))[0],
        tick=parts.get(pulses.TICK, (Part(), None))[0],
    )
    check = scheduler_check(facts, Thresholds.configured())
    return check if check.grade is Grade.FAIL else None
