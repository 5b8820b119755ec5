"""The endpoints for those who watch from outside: health for probes, metrics for Prometheus."""

from __future__ import annotations

from threading import Lock
from time import monotonic

from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, HttpResponseNotFound, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ...conf import settings
from ..health import Grade, report
from .access import may_read


class RecentGrade:
    """Caches the grade of health, for anonymous requests may be frequent and a check takes several statements."""

    def __init__(self) -> None:
        self._looking = Lock()
        self._found: tuple[float, Grade] | None = None

    def get(self) -> Grade:
        """Return the grade; check again, in one thread, when the cached one is older than the project allows."""
        with self._looking:
            if self._found is None or monotonic() - self._found[0] >= settings.HEALTH_CACHE_SECONDS:
                grade = report().grade
                self._found = (monotonic(), grade)
            return self._found[1]

    def forget(self) -> None:
        """Check again at the next request."""
        self._found = None


recent = RecentGrade()


# A database that is away must not fail the request before the view can say so.
@transaction.non_atomic_requests
@never_cache
@require_safe
def health_view(request: HttpRequest) -> HttpResponse:
    """Answer 200 while workflows move, 503 where something fails; the details are for those who may read them."""
    found = report() if may_read(request) else None
    grade = found.grade if found else recent.get()
    data = found.as_dict() if found else {"status": grade.label}
    return JsonResponse(data, status=503 if grade is Grade.FAIL else 200)


@transaction.non_atomic_requests
@never_cache
@require_safe
def metrics_view(request: HttpRequest) -> HttpResponse:
    """Answer with all metrics, to those who may read them; 404 without the extra ``prometheus``."""
    if not may_read(request):
        return HttpResponseForbidden(
            "Send the token of DJANGO_AI['MONITORING_TOKEN'], or log in as staff.", content_type="text/plain"
        )
    try:
        from . import serving
    except ImportError:
        return HttpResponseNotFound('Install "django-ai[prometheus]".', content_type="text/plain")
    return HttpResponse(serving.page(), content_type="text/plain; version=0.0.4; charset=utf-8")
