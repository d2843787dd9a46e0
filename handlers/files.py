"""One file: GET, HEAD, PUT, DELETE; and the listing of all (docs/protocol.md, section 4)."""

from __future__ import annotations

import falcon

from handlers import caller, params, replies
from handlers.bodies import body_of
from handlers.conditions import write_base
from handlers.download import Download, Sent
from handlers.problems import Problem
from store.errors import NotFound, Stale
from store.reader import Reader, require_live
from store.registry import Registry
from store.vaults import Vaults
from sync.judge import Verdict, Write
from sync.model import Version

# What is taken of a body before Vaults decides how much a file may have.
_NO_LIMIT = 1 << 62


class File:
    """/v1/vaults/{vault}/files/{path}"""

    def __init__(self, registry: Registry, reader: Reader, vaults: Vaults, download: Download) -> None:
        self._registry = registry
        self._reader = reader
        self._vaults = vaults
        self._download = download

    # -- reading

    def on_get(self, req: falcon.Request, resp: falcon.Response, vault: str, path: str) -> None:  # noqa: ARG002
        name = params.vault_path(req)
        there, head = self._registry.enter_for(caller.of(req).user, vault, name)
        stamp = params.stamp(params.query(req), "stamp")
        if stamp is None:
            version = require_live(head)
        elif head is not None and head.stamp == stamp:
            version = head
        else:
            version = self._reader.version(there, name, stamp)
        self._download.answer(req, resp, there, as_sent(version))

    # -- writing

    def on_put(self, req: falcon.Request, resp: falcon.Response, vault: str, path: str) -> None:  # noqa: ARG002
        who = caller.of(req)
        name = params.vault_path(req)
        there, head = self._registry.enter_for(who.user, vault, name, "write")
        if req.get_header("Content-Range") is not None:  # RFC 9110, section 14.5
            raise Problem("bad-request", "a file is sent whole: leave Content-Range out")
        write = Write(
            name,
            "put",
            _base(req, head),
            who.device,
            who.user,
            mtime=params.mtime(req),
            executable=params.executable(req),
            keep=params.keeps_conflicts(params.query(req)),
        )
        announced = params.announced_hash(req)
        body = body_of(req)
        body.check(_NO_LIMIT)
        outcome = self._vaults.put(
            there, head, write, body.chunks(_NO_LIMIT), length=body.length, hash=announced, by=who
        )
        if outcome.verdict is Verdict.KEEP and outcome.conflict is not None:
            conflict = self._reader.conflict_json(there, [outcome.conflict])[0]
            found = outcome.head.to_json() if outcome.head else None
            replies.send(resp, {"conflict": conflict, "head": found}, falcon.HTTP_202)
            return
        status = falcon.HTTP_201 if outcome.created else falcon.HTTP_200
        replies.send_version(resp, there, outcome, status)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, vault: str, path: str) -> None:  # noqa: ARG002
        who = caller.of(req)
        name = params.vault_path(req)
        there, head = self._registry.enter_for(who.user, vault, name, "write")
        if req.get_header("If-Match") is None and req.get_header("If-None-Match") is None:
            raise Problem("base-required", "say which version to delete: its ETag, in If-Match")
        base = _base(req, head)
        if base is None:
            raise Problem("bad-request", "what is not there cannot be deleted: name a version's ETag in If-Match")
        outcome = self._vaults.delete(there, Write(name, "delete", base, who.device, who.user), by=who)
        replies.send_version(resp, there, outcome)


class Listing:
    """/v1/vaults/{vault}/files"""

    def __init__(self, registry: Registry, reader: Reader) -> None:
        self._registry = registry
        self._reader = reader

    def on_get(self, req: falcon.Request, resp: falcon.Response, vault: str) -> None:
        there = self._registry.enter(caller.of(req).user, vault)
        query = params.query(req)
        asked = (there, query.get("prefix", ""), query.get("after", ""), params.limit(query))
        if params.by_folder(query):
            page = self._reader.folder(*asked)
            files = [row.to_json() for row in page.files]
            replies.send(resp, {"files": files, "folders": page.folders, "next": page.following})
            return
        rows, following = self._reader.listing(*asked)
        replies.send(resp, {"files": [row.to_json() for row in rows], "next": following})


def as_sent(version: Version) -> Sent:
    """A version's body. Raises NotFound for a tombstone."""
    if version.hash is None:
        raise NotFound("that version is a deletion", head=version)
    # A file whose own time nobody told has that of its version.
    modified = version.stamp if version.mtime is None else version.mtime
    return Sent(
        str(version.stamp),
        version.hash,
        version.size,
        version.path,
        version.mtime,
        modified,
        version.to_json(),
        executable=version.executable,
    )


def _base(req: falcon.Request, head: Version | None) -> int | None:
    """The stamp of the version a write is made on. Raises Problem, Stale."""
    base = write_base(req.get_header("If-Match"), req.get_header("If-None-Match"))
    if base is None:
        return None
    if base.impossible:
        raise Stale("no version has this tag: look at `head`, then decide again", head)
    return base.stamp
