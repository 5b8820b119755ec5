"""Is a worker alive, does beat tick, how far behind are we, what is stuck, and what is to be done about it."""

from .alarm import alarm
from .gathering import gather
from .judging import judge
from .report import Check, Grade, Report, Thresholds

__all__ = ["Check", "Grade", "Report", "Thresholds", "alarm", "gather", "judge", "report"]


def report() -> Report:
    """Look at the database and the broker, and return what was found; takes about a second at most.

    It never raises: a database that cannot be reached is a failed check.
    """
    return judge(gather(), Thresholds.configured())
