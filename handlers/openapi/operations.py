"""Every operation there is, in the order of the URL table in handlers/__init__.py."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from handlers import bundles, changes, conflicts, history, invitations, metrics, page, vaults
from handlers.openapi import answers as a
from handlers.openapi.operation import (
    ANY,
    BEFORE,
    BYTES,
    CURSOR,
    DEVICE,
    EXECUTABLE,
    HASH,
    HELD,
    IF_MATCH,
    IF_NONE_MATCH,
    INLINE,
    JSON,
    LIMIT,
    MTIME,
    NOTHING,
    ON_CONFLICT,
    PREFIX,
    READING,
    STAMP,
    TAR,
    Body,
    Operation,
    Reply,
    header,
    json,
    query,
)
from handlers.shapes import Stamp

V = "/v1/vaults/{vault}"
FILE = (
    "ETag",
    "Last-Modified?",
    "Gobi-Hash",
    "Gobi-Mtime?",
    "Gobi-Executable?",
    "Content-Disposition",
    "Accept-Ranges",
)
DOWNLOAD = {
    200: Reply((), (ANY,), FILE, "The body."),
    206: Reply((), (ANY,), (*FILE, "Content-Range"), "The part of it that was asked for."),
    304: Reply((), (), ("ETag", "Last-Modified?"), "The client has it already."),
}
STORED = json(a.StoredVersion, headers=("ETag",))
KEPT = Reply((), (), ("ETag", "Cache-Control"), "The client has it already.")


def kept(*content_types: str) -> dict[int, Reply]:
    return {200: Reply((), content_types, ("ETag", "Cache-Control")), 304: KEPT}


# fmt: off
OPERATIONS = (
    Operation("GET", "/", "getPage", "The web page", kept("text/html"), [HELD], door="open"),
    Operation("GET", "/web/{digest}/{name}", "getPageFile", "A file of the web page",
              kept(*sorted({kind.partition(";")[0] for kind in page.TYPES.values()} - {"text/html"})),
              [HELD], door="open", refusals="not-found"),
    Operation("GET", "/healthz", "getHealth", "Whether the process answers", {200: json(a.Health)}, door="open"),
    Operation("GET", "/readyz", "getReadiness", "Whether the server could do its work",
              {200: json(a.Readiness), 503: json(a.Readiness, headers=("Retry-After?",))}, door="user"),
    Operation("GET", "/metrics", "getMetrics", "What Prometheus reads",
              {200: Reply((), (metrics.CONTENT_TYPE.partition(";")[0],))}, door="open", refusals="not-found",
              description="For the server's own machine, and for the bearer of `GOBI_METRICS_TOKEN`."),
    Operation("GET", "/openapi.json", "getOpenApi", "This document", kept(JSON), [HELD], door="open"),

    Operation("GET", "/v1/session", "getSession", "Who is signed in", {200: json(a.SignedIn)}, door="user"),
    Operation("POST", "/v1/session", "signIn", "Exchange Basic credentials for a session's cookie",
              {200: json(a.SignedIn, headers=("Set-Cookie?",))}, door="user",
              refusals="not-found disk-full metadata-full"),
    Operation("DELETE", "/v1/session", "signOut", "End the session, and take the cookie back",
              {204: Reply(headers=("Set-Cookie",))}, door="user", refusals="not-found disk-full metadata-full"),
    Operation("GET", "/v1/sessions", "listSessions", "The caller's browsers that are signed in",
              {200: json(a.SessionList)}, door="user"),
    Operation("DELETE", "/v1/sessions/{session}", "endSession", "Sign a browser out", {204: NOTHING},
              door="user", refusals="forbidden not-found disk-full metadata-full"),

    Operation("GET", "/v1/devices", "listDevices", "The caller's devices with passwords of their own",
              {200: json(a.DeviceList)}, door="user"),
    Operation("DELETE", "/v1/devices/{device}", "revokeDevice", "Take a device's password back", {204: NOTHING},
              door="user", refusals="forbidden not-found"),
    Operation("POST", "/v1/invitations/redeem", "redeemInvitation", "Become a device of whoever made the invitation",
              {201: json(a.Redeemed)}, body=Body([invitations.RedeemRequest]), door="open",
              refusals="bad-request forbidden not-found name-taken slow-down store-unavailable metadata-full"),

    Operation("GET", "/v1/vaults", "listVaults", "The caller's vaults", {200: json(a.VaultList)}, door="user"),
    Operation("GET", V, "getVault", "One vault", {200: json(a.Vault)}),
    Operation("PUT", V, "createVault", "Make a vault",
              {201: json(a.VaultEntry, description="It was made, and the caller owns it."),
               200: json(a.VaultEntry, description="The caller is a member already.")},
              door="user", refusals="forbidden too-many name-taken disk-full metadata-full"),
    Operation("PATCH", V, "changeVault", "Change a vault's settings", {200: json(a.Vault)},
              body=Body([vaults.SettingsRequest]), door="owner"),
    Operation("DELETE", V, "removeVault", "Remove a vault and its history", {204: NOTHING},
              [query("confirm", a.Name, "The vault's name once more.", required=True)], door="owner"),
    Operation("PUT", V + "/members/{user}", "setMember", "Give somebody a role", {200: json(a.Membership)},
              body=Body([vaults.MemberRequest]), door="owner", refusals="too-many last-owner"),
    Operation("DELETE", V + "/members/{user}", "removeMember", "Take somebody out of the vault", {204: NOTHING},
              door="owner", refusals="last-owner"),

    Operation("POST", V + "/invitations", "invite", "Invite a machine of one's own", {201: json(a.Invitation)},
              body=Body([invitations.InvitationRequest]), refusals="forbidden metadata-full"),

    Operation("GET", V + "/files", "listFiles", "Live files by path", {200: json(a.FileList)},
              [PREFIX, query("after", str, "Only what comes after this name."), LIMIT,
               query("delimiter", Literal["/"], "One folder: what lies deeper is shown as its folder only.")]),
    Operation("GET", V + "/files/{path}", "getFile", "A file's bytes", DOWNLOAD, [STAMP, INLINE, *READING],
              refusals="purged conflict bad-range"),
    Operation("PUT", V + "/files/{path}", "putFile", "Store a file",
              {201: STORED, 200: STORED, 202: json(a.KeptCandidate, description="It waits as a conflict's candidate.")},
              [ON_CONFLICT, IF_MATCH, IF_NONE_MATCH, MTIME, EXECUTABLE, HASH, DEVICE], Body((), BYTES), door="write",
              refusals="too-many path-taken conflict hash-mismatch length-mismatch quota",
              description="Without If-Match it never replaces anything."),
    Operation("DELETE", V + "/files/{path}", "deleteFile", "Delete a file", {200: STORED}, [
                  header("If-Match", IF_MATCH.shape, "The version that is deleted: its stamp, quoted.", required=True),
                  DEVICE],
              door="write", refusals="conflict base-required"),

    Operation("GET", V + "/changes", "listChanges", "What changed since a cursor", {200: json(a.ChangePage)},
              [CURSOR, LIMIT], refusals="bad-cursor cursor-expired"),
    Operation("POST", V + "/sync", "sync", "What a client needs to do", {200: json(a.SyncAnswer)},
              body=Body([changes.SyncRequest]), refusals="bad-path bad-cursor cursor-expired"),
    Operation("POST", V + "/push", "push", "Many changes in one request", {200: json(a.Pushed)},
              [ON_CONFLICT, DEVICE],
              Body((), TAR, "`manifest.json` first, `{\"changes\": [Reported, …]}` of puts and deletes; then bodies."),
              door="write", refusals="quota"),
    Operation("POST", V + "/pull", "pull", "Many bodies in one answer", {200: Reply((), (TAR,))},
              body=Body([bundles.PullRequest]), refusals="bad-path"),
    Operation("GET", V + "/lost", "listLost", "Bodies that the server has lost", {200: json(a.LostBodies)},
              door="write"),
    Operation("PUT", V + "/lost/{hash}", "giveBack", "Bring a lost body back", {204: NOTHING}, body=Body((), BYTES),
              door="write", refusals="hash-mismatch length-mismatch quota"),
    Operation("GET", V + "/archive.tar", "getArchive", "The whole vault",
              {200: Reply((), (TAR,), ("Content-Disposition",))}, [query("stamp", Stamp, "As it stood then.")],
              refusals="purged", description="One at a time for each user."),

    Operation("GET", V + "/history/{path}", "listHistory", "A file's versions", {200: json(a.VersionList)},
              [BEFORE, LIMIT]),
    Operation("POST", V + "/restore", "restore", "Bring a version back, or undo what was changed since a moment",
              {200: json(a.StoredVersion, a.Undone, headers=("ETag?",))}, [DEVICE],
              Body([history.RestoreRequest, history.UndoRequest]), door="write",
              refusals="bad-path bad-cursor cursor-expired path-taken purged conflict"),
    Operation("GET", V + "/log", "listLog", "Everybody's changes", {200: json(a.VersionList)},
              [BEFORE, query("since", Stamp, "Only versions with a greater stamp."), PREFIX, LIMIT,
               query("device", str, "Only by this device."), query("user", str, "Only by this user.")]),

    Operation("GET", V + "/stamp", "getStamp", "The last stamp of a moment", {200: json(a.Moment)},
              [query("time", Stamp, "Microseconds since 1970, by the server's clock.", required=True)]),

    Operation("GET", V + "/conflicts", "listConflicts", "Open conflicts", {200: json(a.ConflictList)}),
    Operation("GET", V + "/conflicts/{id}", "getConflict", "One conflict, also a settled one", {200: json(a.Conflict)}),
    Operation("GET", V + "/conflicts/{id}/{side}", "getSide", "One side's bytes", DOWNLOAD, [INLINE, *READING],
              refusals="purged conflict bad-range"),
    Operation("GET", V + "/conflicts/{id}/merge", "getMerge", "What the sides come to",
              {200: json(a.Merged, a.NotMergeable)},
              [query("candidate", Annotated[int, Meta(ge=1)], "The newest where it is left out.")]),
    Operation("POST", V + "/conflicts/{id}/resolve", "resolve", "Settle a conflict", {200: json(a.NewVersions)},
              [DEVICE], Body([conflicts.ResolveRequest]), door="write", refusals="path-taken conflict quota"),

    Operation("GET", V + "/live", "openSocket", "A WebSocket that tells of changes as they happen",
              {101: Reply(headers=("Upgrade", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol?"))},
              [query("cursor", a.Cursor, "What the client has seen: what it missed is sent. Left out, nothing is.")],
              refusals="cross-origin bad-cursor upgrade-required",
              description="Messages are JSON: docs/protocol.md, section 7."),
)
# fmt: on
