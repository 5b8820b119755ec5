"""Where metrics are read: the web endpoint, and a port of each worker."""

from __future__ import annotations

import logging
import os

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

from ...conf import settings
from . import collecting

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"


def counted() -> CollectorRegistry:
    """Return what is counted here: in this process, or in all that share PROMETHEUS_MULTIPROC_DIR."""
    if MULTIPROCESS not in os.environ:
        return REGISTRY
    found = CollectorRegistry()
    MultiProcessCollector(found)  # type: ignore[no-untyped-call]
    return found


def page() -> bytes:
    """Return all metrics in Prometheus' text format."""
    return generate_latest(counted()) + generate_latest(collecting.registry())


def serve() -> None:
    """Serve what is counted here at ``DJANGO_AI["METRICS_PORT"]``."""
    port = settings.METRICS_PORT
    # An empty address, as of a variable that is not set, would be every one.
    address = settings.METRICS_ADDRESS or LOOPBACK
    try:
        start_http_server(port or 0, addr=address, registry=counted())
    except OSError:
        text = "The metrics of this worker are not served: %s:%s is taken, or no address of this machine."
        logger.warning(text, address, port, exc_info=True)
