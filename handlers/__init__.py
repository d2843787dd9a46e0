"""HTTP. The only place that imports falcon: requests are read strictly, the store is asked, answers are written.

`create_app` has the whole URL table.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import falcon

from handlers import (
    bundles,
    changes,
    conflicts,
    devices,
    errors,
    files,
    health,
    history,
    invitations,
    lost,
    page,
    vaults,
)
from handlers import session as browser
from handlers.auth import Gate
from handlers.below import Below
from handlers.download import Download
from handlers.hosts import Hosts
from handlers.live.handshake import Live
from handlers.live.pool import Limits, Pool
from handlers.measures import Measures
from handlers.metrics import Metrics, Routes
from handlers.openapi.address import OpenApi
from handlers.origin import Network, own_path
from handlers.passwords import Passwords
from handlers.strangers import Bounds, Strangers
from handlers.throttle import PER_OWNER, Buckets, Throttle
from handlers.wire import Application, Wire
from store.base import Bodies, Bus, Metadata
from store.devices import Devices, Invitations
from store.merge_queue import MergeQueue
from store.merging import Merging
from store.offload import Offload
from store.reader import Reader
from store.registry import Registry
from store.sessions import Sessions
from store.turns import Turns
from store.undo import Undo
from store.users import Users
from store.vaults import Vaults


@dataclass(frozen=True, slots=True)
class Services:
    """What the handlers ask."""

    metadata: Metadata
    bodies: Bodies
    bus: Bus
    offload: Offload
    users: Users
    devices: Devices
    sessions: Sessions
    invitations: Invitations
    registry: Registry
    reader: Reader
    vaults: Vaults
    undo: Undo
    turns: Turns
    merging: Merging
    merges: MergeQueue
    measures: Measures


@dataclass(frozen=True, slots=True)
class Options:
    """`quota` in bytes a vault, 0 for none; `stall_s`: how long a client may stand still in the middle of a request.

    `allowed_hosts`: further names that the server goes by. `workers`: how many processes like this one share the work.
    `sweep_s`: how often lost notices are looked for; `ping_s`: how often live sockets are pinged. `metrics_token`: who
    may read /metrics from elsewhere. `certificate_expires`: seconds since 1970, where gobi does https itself. `clock`
    gives seconds that only go forward.
    """

    quota: int = 0
    public_url: str | None = None
    trusted_proxies: Sequence[Network] = ()
    allowed_hosts: Sequence[str] = ()
    stall_s: float = 30
    workers: int = 1
    sweep_s: float = 30
    ping_s: float = 30
    metrics_token: str | None = None
    certificate_expires: float | None = None
    strangers: Bounds = field(default_factory=Bounds)
    clock: Callable[[], float] = time.monotonic


def create_app(services: Services, options: Options) -> Application:
    s = services
    cookies = browser.Cookies(options.public_url)
    download = Download(s.reader, s.offload)
    throttle = Throttle(options.clock, workers=options.workers)
    size, refill_s = PER_OWNER
    guesses = Buckets(size, refill_s * options.workers, options.clock)
    gate = Gate(
        s.users,
        s.sessions,
        cookies,
        Passwords(s.users, throttle),
        hosts=Hosts(options.allowed_hosts, public_url=options.public_url, trusted_proxies=options.trusted_proxies),
        public_url=options.public_url,
        trusted_proxies=options.trusted_proxies,
    )
    pool = Pool(s.metadata, s.reader, s.bus, Limits(options.sweep_s, options.ping_s), options.clock)
    s.measures.look_at(
        {
            "gobi_live_sockets": lambda: pool.count,
            "gobi_commits_waiting": lambda: s.vaults.waiting,
            "gobi_outbox_messages": lambda: s.bus.waiting,
            "gobi_bus_refused_messages": lambda: s.bus.refused,
        }
    )
    metrics = Metrics(
        s.measures,
        s.metadata,
        s.offload,
        token=options.metrics_token,
        trusted_proxies=options.trusted_proxies,
        clock=options.clock,
        certificate_expires=options.certificate_expires,
    )
    invite = invitations.Invitations(s.registry, s.invitations, s.offload, options.public_url)
    redeem = invitations.Redeem(s.invitations, throttle, s.offload, options.trusted_proxies)
    pages = page.Pages()
    middleware: list[Any] = [gate, Routes()]
    app = falcon.App(middleware=middleware)
    errors.install(app)

    def add(address: str, resource: Any) -> None:  # noqa: ANN401  # Falcon goes by its methods
        if hasattr(resource, "on_get"):
            resource.on_head = resource.on_get  # what Falcon sends then has no body
        app.add_route(address, resource)

    path = own_path(options.public_url)
    # What is added here also gets an entry in openapi/operations.py.
    v1 = "/v1/vaults/{vault}"
    # fmt: off
    add("/",                                page.Page(pages))
    add("/web/{digest}/{name:path}",        page.Asset(pages))
    add("/healthz",                         health.Alive())
    add("/readyz",                          health.Ready(s.metadata, s.bodies, s.bus, s.offload))
    add("/metrics",                         metrics)
    add("/openapi.json",                    OpenApi(s.offload, path or "/"))
    add("/v1/session",                      browser.Session(s.sessions, cookies))
    add("/v1/sessions",                     browser.List(s.sessions))
    add("/v1/sessions/{session}",           browser.One(s.sessions))
    add("/v1/devices",                      devices.Devices(s.devices))
    add("/v1/devices/{device:path}",        devices.Device(s.devices))
    add(invitations.REDEEM,                 redeem)
    add("/v1/vaults",                       vaults.Vaults(s.registry, s.reader))
    add(v1,                                 vaults.Vault(s.registry, s.reader, s.offload, options.quota))
    add(v1 + "/members/{user}",             vaults.Member(s.registry, s.offload, guesses))
    add(v1 + "/invitations",                invite)
    add(v1 + "/files",                      files.Listing(s.registry, s.reader))
    add(v1 + "/files/{path:path}",          files.File(s.registry, s.reader, s.vaults, download))
    add(v1 + "/changes",                    changes.Changes(s.registry, s.reader))
    add(v1 + "/sync",                       changes.Sync(s.registry, s.reader, s.offload, s.vaults.max_file))
    add(v1 + "/lost",                       lost.Lost(s.registry, s.reader))
    add(v1 + "/lost/{hash}",                lost.Found(s.registry, s.vaults))
    add(v1 + "/push",                       bundles.Push(s.registry, s.reader, s.vaults))
    add(v1 + "/pull",                       bundles.Pull(s.registry, s.reader, s.offload))
    add(v1 + "/archive.tar",                bundles.Archive(s.registry, s.reader, s.turns))
    add(v1 + "/history/{path:path}",        history.History(s.registry, s.reader))
    add(v1 + "/restore",                    history.Restore(s.registry, s.reader, s.vaults, s.undo, s.offload))
    add(v1 + "/log",                        history.Log(s.registry, s.reader))
    add(v1 + "/stamp",                      history.Moment(s.registry, s.metadata))
    add(v1 + "/conflicts",                  conflicts.Conflicts(s.registry, s.reader))
    add(v1 + "/conflicts/{id}",             conflicts.Conflict(s.registry, s.reader))
    add(v1 + "/conflicts/{id}/{side}",      conflicts.Side(s.registry, s.reader, download))
    add(v1 + "/conflicts/{id}/merge",       conflicts.Merge(s.registry, s.merging, s.merges))
    add(v1 + "/conflicts/{id}/resolve",     conflicts.Resolve(s.registry, s.vaults, s.offload))
    add(v1 + "/live",                       Live(s.registry, s.reader, s.metadata, pool))
    # fmt: on
    strangers = Strangers(options.strangers, options.trusted_proxies, options.clock)
    return Wire(Below(app, path) if path else app, options.stall_s, pool, strangers, s.measures)
