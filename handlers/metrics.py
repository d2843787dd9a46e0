"""`GET /metrics`: what Prometheus reads (docs/protocol.md, section 9). To everybody else there is no such address."""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import falcon

from handlers.exchange import ROUTE
from handlers.measures import Measures
from handlers.origin import FORWARDED, Network, client_address
from handlers.problems import Problem
from store import log_context
from store.aging import Collected
from store.base import Metadata, Vault
from store.errors import StoreError
from store.offload import Offload
from sync.addresses import parse_address

# Prometheus asks every 15 s by default; the vaults are read from the database, perhaps far away.
KEPT_S = 30
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# What is told of every vault: gobi_vault_..., what it is, and where it stands.
VAULT: tuple[tuple[str, str, Callable[[Vault], int]], ...] = (
    ("files", "Live files.", lambda vault: vault.files),
    ("bytes", "Their sizes.", lambda vault: vault.bytes),
    ("stored_bytes", "What is stored, history included.", lambda vault: vault.stored),
    ("open_conflicts", "Conflicts that nobody has settled.", lambda vault: vault.conflicts),
)
# The same of the last collection, gobi_collection_...
COLLECTION: tuple[tuple[str, str, Callable[[Collected], float]], ...] = (
    ("timestamp_seconds", "When the last collection ended.", lambda one: one.at / 1e6),
    ("versions", "Versions that it took out of logs.", lambda one: one.versions),
    ("tombstones", "Deletions that it took out of logs.", lambda one: one.tombstones),
    ("bodies", "Bodies that it put into the trash.", lambda one: one.bodies),
    ("bytes", "Their sizes.", lambda one: one.bytes),
    ("removed_bodies", "Bodies that it removed from the trash.", lambda one: one.removed),
    ("removed_bytes", "Their sizes.", lambda one: one.removed_bytes),
)


class Metrics:
    """/metrics. `token`: whose bearer may read it from anywhere; None: only this machine may. `certificate_expires`: in
    seconds since 1970; None where gobi does no https."""

    def __init__(
        self,
        measures: Measures,
        metadata: Metadata,
        offload: Offload,
        *,
        token: str | None,
        trusted_proxies: Sequence[Network],
        clock: Callable[[], float],
        certificate_expires: float | None = None,
    ) -> None:
        self._expires = certificate_expires
        self._measures = measures
        self._metadata = metadata
        self._offload = offload
        self._token = token.encode() if token else None
        self._trusted = trusted_proxies
        self._clock = clock
        self._vaults: list[Vault] = []
        self._collected: Collected | None = None
        self._read_at: float | None = None

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        if not (self._has_token(req) or self._is_local(req)):
            raise Problem("not-found", "there is nothing at this address")
        self._measures.look()
        resp.content_type = CONTENT_TYPE
        vaults = self._known_vaults()
        resp.data = self._offload(self._measures.text, Looked(vaults, _memory(), self._collected, self._expires))

    def _has_token(self, req: falcon.Request) -> bool:
        scheme, _, given = (req.get_header("Authorization") or "").partition(" ")
        if self._token is None or scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self._token)

    def _is_local(self, req: falcon.Request) -> bool:
        """Straight from this machine. A proxy on it comes from here too, with everybody's requests."""
        if any(req.get_header(name) is not None for name in FORWARDED):
            return False
        ip = parse_address(client_address(req, self._trusted))
        return ip is not None and ip.is_loopback  # None: a Unix socket, a proxy's

    def _known_vaults(self) -> list[Vault]:
        now = self._clock()
        if self._read_at is None or now - self._read_at >= KEPT_S:
            try:
                self._vaults = self._metadata.vaults()
                self._collected = self._metadata.aging().last_collection()
                self._read_at = now
            except StoreError:  # whoever looks for what is wrong needs the rest
                return []
        return self._vaults


class Routes:
    """Falcon middleware: writes down which line of the URL table a request met, and whose vault it is about."""

    def process_resource(
        self, req: falcon.Request, _resp: falcon.Response, _resource: object, params: dict[str, str]
    ) -> None:
        if "vault" in params:
            log_context.add(vault=params["vault"])
        req.env[ROUTE] = (req.uri_template or "none").replace(":path}", "}")  # as docs/protocol.md writes it


class Looked:
    """A collector of what is looked up when it is asked for."""

    def __init__(
        self,
        vaults: Sequence[Vault],
        memory: dict[str, int],
        collected: Collected | None = None,
        certificate_expires: float | None = None,
    ) -> None:
        self._expires = certificate_expires
        self._vaults = vaults
        self._memory = memory
        self._collected = collected

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        for name, text, value in VAULT:
            family: Any = GaugeMetricFamily(f"gobi_vault_{name}", text, labels=["vault"])
            for vault in self._vaults:
                family.add_metric([vault.name], value(vault))
            yield family
        for name, text, number in COLLECTION:
            family = GaugeMetricFamily(f"gobi_collection_{name}", text)
            if self._collected is not None:
                family.add_metric([], number(self._collected))
            yield family
        family = GaugeMetricFamily(
            "gobi_certificate_expiry_timestamp_seconds", "When the certificate for https expires."
        )
        if self._expires is not None:
            family.add_metric([], self._expires)
        yield family
        family = GaugeMetricFamily("gobi_memory_bytes", "PSS: what is shared counts once.", labels=["process"])
        for process, amount in self._memory.items():
            family.add_metric([process], amount)
        yield family


def _memory() -> dict[str, int]:
    """Bytes of the master and of all its workers together; of this process alone where it is nobody's worker."""
    master = os.getppid()
    try:
        workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            return {"master": _pss(master), "workers": sum(map(_pss, workers))}
        return {"workers": _pss("self")}
    except (OSError, StopIteration):  # a system that does not tell
        return {}


def _pss(pid: int | str) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
