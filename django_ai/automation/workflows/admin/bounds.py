"""What keeps the pages quick with millions of runs: capped counts, and a look at the newest runs alone."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.core.paginator import Paginator
from django.db import connections
from django.db.models import Max, Min, QuerySet
from django.http import HttpRequest, QueryDict
from django.utils.http import urlencode

from ...storable import number_in
from ..machine.statuses import WorkflowStatus
from ..models import WorkflowRun

# Up to how many rows a page counts, and lists page by page.
CAP = 10_000

# Among how many of the newest runs a filter looks that no index serves; those of a context's fields are slower.
WINDOW = 100_000
CONTEXT_WINDOW = 50_000

# The parameter of the list with which all runs are looked at, however long it takes.
REACH = "reach"

# Rows are numbered in the order in which their transactions asked for a number, not that of their dates.
DISORDER = timedelta(hours=1)


if TYPE_CHECKING:
    Base = Paginator[WorkflowRun]
else:
    Base = Paginator


class CappedPaginator(Base):
    """Counts up to CAP: what comes after those is reached by filters, not page by page."""

    @cached_property
    def count(self) -> int:
        """How many there are, at most CAP."""
        rows: Any = self.object_list
        return int(rows.order_by("-pk").values("pk")[:CAP].count())


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of a table that one page shows, newest first.

    Attributes:
        count: how many rows there are in all.
        older, newest: the queries of the pages with the next older rows and with the newest; empty where those are
            shown already.
    """

    rows: list[Any]
    count: int
    older: str = ""
    newest: str = ""


class Parts:
    """Cuts long tables into parts; where the part of each begins is in the parameters of the page's address."""

    def __init__(self, parameters: QueryDict) -> None:
        self.parameters = parameters

    def before(self, name: str) -> int | None:
        """Return the number below which the part of a table begins, None for its newest rows."""
        return number_in(self.parameters.get(f"{name}_before", ""))

    def of(self, name: str, found: QuerySet[Any], most: int) -> Part:
        """Return the part of a table that is asked for, found by an index: its rows are numbered in their order."""
        before = self.before(name)
        rows = list((found if before is None else found.filter(pk__lt=before)).order_by("-pk")[: most + 1])
        is_all = before is None and len(rows) <= most
        last = rows[most - 1].pk if len(rows) > most else None
        return self.part(name, rows[:most], len(rows) if is_all else found.count(), last)

    def part(self, name: str, rows: list[Any], count: int, last: int | None) -> Part:
        """Return a part whose rows are known; ``last`` is the number of its oldest row if there are older ones."""
        older = "" if last is None else self._query(**{f"{name}_before": str(last)})
        newest = "" if self.before(name) is None else self._query(**{f"{name}_before": ""})
        return Part(rows, count, older, newest)

    def _query(self, **changes: str) -> str:
        parameters = {name: str(self.parameters[name]) for name in self.parameters if name.endswith("_before")}
        return f"?{urlencode({name: value for name, value in {**parameters, **changes}.items() if value})}"


def counted(rows: QuerySet[Any]) -> str:
    """Return how many rows there are as a text, such as ``10,000+`` where there are more than CAP."""
    count = rows.order_by("-pk").values("pk")[: CAP + 1].count()
    return f"{CAP:,}+" if count > CAP else f"{count:,}"


def counts_by_status(runs: QuerySet[WorkflowRun]) -> list[tuple[WorkflowStatus, str]]:
    """Return how many runs are in each status, each count capped and served by an index."""
    return [(status, counted(runs.filter(status=status))) for status in WorkflowStatus]


def estimated(runs: QuerySet[WorkflowRun]) -> int:
    """Return about how many runs there are, without counting them."""
    connection = connections[runs.db]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT reltuples FROM pg_class WHERE oid = %s::regclass", [runs.model._meta.db_table])
            (rows,) = cursor.fetchone()
        if rows >= CAP:
            return int(rows)
    ends: Mapping[str, Any] = runs.order_by().aggregate(first=Min("pk"), last=Max("pk"))
    return int(ends["last"] - ends["first"] + 1) if ends["last"] else 0


def newest(request: HttpRequest, runs: QuerySet[WorkflowRun], window: int | None = None) -> QuerySet[WorkflowRun]:
    """Return the newest of some runs, or all of them where the request asks for that."""
    if request.GET.get(REACH) == "all":
        return runs
    last = WorkflowRun.objects.using(runs.db).aggregate(last=Max("pk"))["last"] or 0
    first = last - (window or WINDOW)
    return runs.filter(pk__gt=first) if first > 0 else runs


def started_between(
    runs: QuerySet[WorkflowRun], since: datetime | None, until: datetime | None
) -> QuerySet[WorkflowRun]:
    """Return the runs created in a span of time; no index of dates is needed, for the ids are in their order."""
    if since is not None:
        runs = runs.filter(created_at__gte=since, pk__gte=_first_at(runs, since - DISORDER))
    if until is not None:
        runs = runs.filter(created_at__lt=until, pk__lt=_first_at(runs, until + DISORDER))
    return runs


def _first_at(runs: QuerySet[WorkflowRun], moment: datetime) -> int:
    """Return about the first id of a run created at ``moment`` or later, by halving the span of ids."""
    every = WorkflowRun.objects.using(runs.db).order_by("pk")
    last = every.aggregate(last=Max("pk"))["last"] or 0
    return bisect_left(_Dates(every, last), moment) + 1


class _Dates(Sequence[datetime]):
    """The date of the first run after each id."""

    def __init__(self, runs: QuerySet[WorkflowRun], last: int) -> None:
        self._runs, self._last = runs, last

    def __len__(self) -> int:
        return self._last

    def __getitem__(self, index: Any) -> Any:
        return self._runs.filter(pk__gt=index).values_list("created_at", flat=True)[0]
