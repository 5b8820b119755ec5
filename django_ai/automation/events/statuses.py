"""Where an occurrence of an event stands."""

from django.db.models import TextChoices


class EventStatus(TextChoices):
    """Where an occurrence stands."""

    PENDING = "pending"
    OCCURRED = "occurred"
    CANCELLED = "cancelled"
    FAILED = "failed"
