"""Tells the workers, after the commit, that something is due; the scheduler finds what they miss."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from weakref import WeakValueDictionary

from django.db import transaction

from .. import broker
from ..conf import settings
from .models import Event

OCCUR = "django_ai.events.occur"


class _Announcements(threading.local):
    """The announcement that each database's present transaction collects.

    The transaction alone holds it: a rollback lets go of it, and nothing is left to send.
    """

    def __init__(self) -> None:
        self.open: WeakValueDictionary[str, _Announcement] = WeakValueDictionary()


class _Announcement:
    def __init__(self) -> None:
        self.numbers: list[int] = []

    def send(self) -> None:
        numbers, self.numbers = self.numbers, []
        for start in range(0, len(numbers), settings.BATCH_SIZE):
            broker.send(OCCUR, (numbers[start : start + settings.BATCH_SIZE],), queue=settings.QUEUE)


_announcements = _Announcements()


def announce(events: Iterable[Event], using: str) -> None:
    """Have these events looked at by a worker as soon as the present transaction commits.

    All that one transaction announces goes out together.
    """
    numbers = [event.pk for event in events if event.pk]
    if not numbers:
        return
    announcement = _announcements.open.get(using)
    if announcement is not None and announcement.numbers:
        announcement.numbers += numbers
        return
    announcement = _announcements.open[using] = _Announcement()
    announcement.numbers += numbers
    transaction.on_commit(announcement.send, using=using, robust=True)
