"""Routes for operators of a server: `/healthz`, `/readyz` and `/metrics`.

The first two show that the process answers, and that it can serve: its database is reachable with this release's
schema. Neither reveals more. Metrics are for this machine and for signed-in admins, they show how many people work here
and how much. A request is local if it comes from a loopback address, names one as its host,
and no proxy has passed it on.
"""

import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from app import __version__
from app.routes.handlers import FORBIDDEN, UNAVAILABLE, USER, RequestError
from app.services import metrics as service
from app.services.addresses import host_name, is_loopback
from app.services.app_context import AppContext
from core.types import OutfoldError, Role
from db.queries.people import User

HEALTHY, READY, METRICS = "/healthz", "/readyz", "/metrics"
_PASSED_ON = frozenset({b"forwarded", b"via", b"x-real-ip"})  # and all that begin with x-forwarded-
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds
_NO_STORE = {"Cache-Control": "no-store"}
log = logging.getLogger(__name__)

OF_THIS_PROCESS = CollectorRegistry()
ProcessCollector(registry=OF_THIS_PROCESS)
VERDICT_SECONDS = Histogram(
    "outfold_verdict_seconds",
    "Time from a verdict's arrival until it is stored or refused",
    buckets=_BUCKETS,
    registry=OF_THIS_PROCESS,
)


def healthy(_request: Request, _app_context: AppContext) -> dict[str, Any]:
    """Answer that the process lives."""
    return {"ok": True}


def ready(_request: Request, app_context: AppContext) -> Response:
    """Answer whether this process can serve: 200 or 503; the reason is only in its log."""
    try:
        service.check_ready(app_context)
    except (OutfoldError, SQLAlchemyError, OSError) as error:
        log.warning("not ready: %s", error)
        return JSONResponse({"ready": False}, UNAVAILABLE, headers=_NO_STORE)
    return JSONResponse({"ready": True}, headers=_NO_STORE)


def metrics(request: Request, app_context: AppContext) -> Response:
    """Answer all metrics in Prometheus' text format."""
    user: User | None = request.scope.get(USER)
    if not (is_of_this_machine(request.scope) or (user is not None and user.role is Role.ADMIN)):
        raise RequestError(
            f"the role {user.role} may not do this" if user else "metrics are for this machine alone",
            "ask on the server itself, by a loopback address, or sign in as an admin",
            FORBIDDEN,
        )
    of_all = CollectorRegistry()
    of_all.register(_Numbers(service.gather(app_context)))
    body = generate_latest(of_all) + generate_latest(OF_THIS_PROCESS)
    return Response(body, headers={**_NO_STORE, "Content-Type": CONTENT_TYPE_LATEST})


def is_of_this_machine(scope: Scope) -> bool:
    """Return whether a request comes from this machine itself, not through a local proxy."""
    client = scope.get("client")
    names = [name for name, _ in scope["headers"]]
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    passed_on = any(name in _PASSED_ON or name.startswith(b"x-forwarded-") for name in names)
    return client is not None and not passed_on and is_loopback(client[0]) and is_loopback(_name_in(host))


def _name_in(host: str) -> str:
    try:
        return host_name(urlsplit(f"//{host}").hostname or "") or ""
    except ValueError:
        return ""


class _Numbers(Collector):
    """Metrics of an installation, from its database."""

    def __init__(self, numbers: service.Numbers) -> None:
        self._numbers = numbers

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        about = GaugeMetricFamily("outfold_info", "Version of Outfold", labels=["version"])
        about.add_metric([__version__], 1)
        jobs = GaugeMetricFamily("outfold_jobs", "Rounds, imports and exports by state", labels=["kind", "state"])
        for (kind, state), count in sorted(self._numbers.jobs.items()):
            jobs.add_metric([kind, state], count)
        waiting = GaugeMetricFamily("outfold_queue_depth", "Jobs that no worker has begun", labels=["queue"])
        for queue, count in sorted(self._numbers.waiting.items()):
            waiting.add_metric([queue], count)
        verdicts = CounterMetricFamily("outfold_verdicts", "Verdicts stored, undone ones too", labels=["act"])
        for act, count in sorted(self._numbers.decisions.items()):
            verdicts.add_metric([act], count)
        ages = GaugeMetricFamily(
            "outfold_worker_heartbeat_age_seconds",
            "Time since this process saw a worker's heartbeat change, by its own clock",
            labels=["slot"],
        )
        for slot, seconds in sorted(self._numbers.heartbeat_seconds.items()):
            ages.add_metric([slot], seconds)
        yield from (about, jobs, waiting, verdicts, ages)
