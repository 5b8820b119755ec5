"""The endpoints for those who watch from outside: health for probes, metrics for Prometheus."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, HttpResponseNotFound, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ..health import Grade, report
from .access import may_read


# A database that is away must not fail the request before the view can say so.
@transaction.non_atomic_requests
@never_cache
@require_safe
def health_view(request: HttpRequest) -> HttpResponse:
    """Answer 200 while workflows move, 503 where something fails; the details are for those who may read them."""
    found = report()
    data = found.as_dict() if may_read(request) else {"status": found.grade.label}
    return JsonResponse(data, status=503 if found.grade is Grade.FAIL else 200)


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
