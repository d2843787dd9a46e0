"""What this worker counts, with prometheus-client. docs/operating.md lists it for those who read it.

With `PROMETHEUS_MULTIPROC_DIR` in the environment (ops/metrics_folder.py) every worker has its numbers in files of its
own there, and whoever is asked adds all of them up; without, there is one process and they are in its memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from handlers.exchange import ROUTE, Environ, Exchange
from store.base import Notice

METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"})
SECONDS = (0.005, 0.025, 0.1, 0.5, 2.5, 10, 60)
VERSIONS = (1, 10, 100, 1_000)


class Measures:
    """Everything that is counted; and what is not counted but looked at, by `look`."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, disable_created_metrics

        disable_created_metrics()  # type: ignore[no-untyped-call]  # second lines, which several processes have not
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry}
        route = ["method", "route"]
        self._requests = Counter("gobi_http_requests", "Requests that ended.", [*route, "status"], **own)
        self._duration = Histogram(
            "gobi_http_request_seconds", "From a request's head to its answer's end.", route, buckets=SECONDS, **own
        )
        self._received = Counter("gobi_http_received_bytes", "Bodies of requests.", **own)
        self._sent = Counter("gobi_http_sent_bytes", "Bodies of answers.", **own)
        self._commits = Histogram("gobi_commit_versions", "Commits, by the versions in one.", buckets=VERSIONS, **own)
        self._committed = Counter("gobi_committed_bytes", "Sizes of the files in commits.", **own)
        self._database = Summary(
            "gobi_database_seconds", "What was asked of the database, and the time it took.", ["operation"], **own
        )
        told = {
            "gobi_http_requests_running": "Requests that have not ended.",
            "gobi_live_sockets": "Live sockets.",
            "gobi_commits_waiting": "Requests that wait for their turn to commit.",
            "gobi_outbox_messages": "Messages that wait to be sent to other workers.",
            "gobi_bus_refused_messages": "Messages of other workers that were not believed, since the workers started.",
        }
        self._gauges = {name: Gauge(name, text, multiprocess_mode="livesum", **own) for name, text in told.items()}
        self._looks: Mapping[str, Callable[[], int]] = {}
        self._running = 0
        # By labels, for these are looked up with every request.
        self._known: dict[tuple[str, str, str], tuple[Any, Any]] = {}

    # -- what happens

    def database(self, operation: str, seconds: float) -> None:
        self._database.labels(operation).observe(seconds)

    def commit(self, notice: Notice) -> None:
        if notice.changes:
            self._commits.observe(len(notice.changes))
            self._committed.inc(sum(version.size for version in notice.changes))

    def request(self, environ: Environ) -> Exchange:
        """To be called when a request begins."""
        self._running += 1
        return Exchange(environ, self._ended)

    def _ended(self, one: Exchange, received: int) -> None:
        self._running -= 1
        route = one.environ.get(ROUTE, "none")
        method = one.environ["REQUEST_METHOD"]
        labels = (method if method in METHODS else "other", route, one.outcome)
        known = self._known.get(labels)
        if known is None:
            known = self._known[labels] = (self._requests.labels(*labels), self._duration.labels(*labels[:2]))
        known[0].inc()
        if one.outcome != "101":  # it lasts as long as its socket only where gobi does TLS: its time tells nothing
            known[1].observe(one.seconds)
        if received:
            self._received.inc(received)
        if one.sent:
            self._sent.inc(one.sent)

    # -- what is so

    def look_at(self, looks: Mapping[str, Callable[[], int]]) -> None:
        """By the names of gauges, what says where they stand."""
        self._looks = looks

    def look(self) -> None:
        """To be called every second: other workers see nothing of this one but what is written down."""
        self._gauges["gobi_http_requests_running"].set(self._running)
        for name, see in self._looks.items():
            self._gauges[name].set(see())

    # -- telling

    def text(self, more: Any) -> bytes:  # noqa: ANN401  # a collector of prometheus-client
        """All workers' numbers in the text format of Prometheus, and those of `more`."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            counted = generate_latest(self.registry)
        else:
            everybody = CollectorRegistry()
            MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]
            counted = generate_latest(everybody)
        looked_up = CollectorRegistry()
        looked_up.register(more)
        return counted + generate_latest(looked_up)
