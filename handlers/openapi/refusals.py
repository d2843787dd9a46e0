"""Which refusals an operation knows, and what they mean in short (docs/protocol.md, section 2)."""

from __future__ import annotations

from handlers.openapi.operation import Operation
from handlers.problems import STATUS

MEANING = {
    "bad-path": "the protocol refuses such a path",
    "bad-request": "malformed",
    "bad-cursor": "not a cursor that this server gave",
    "unauthorized": "no credentials, or wrong ones",
    "forbidden": "the caller's role does not allow it",
    "cross-origin": "a browser on somebody else's page",
    "too-many": "there are as many of these as there may be",
    "not-found": "there is no such thing, or not for the caller",
    "method-not-allowed": "the address does not have this method",
    "name-taken": "the name is somebody else's",
    "other-vault": "the name is another vault's than `Gobi-Vault` says",
    "path-taken": "a file where a folder is, or the reverse",
    "last-owner": "the vault would lose its last owner",
    "cursor-expired": "the cursor is no good any more: sync again from `0`",
    "purged": "the version, or the moment, was purged",
    "conflict": "the head is another one: see `head`",
    "too-large": "over the limit",
    "encoded-body": "the request's body has a Content-Encoding",
    "bad-range": "no byte of the body is in the range",
    "wrong-host": "the server is called by a name that is not its own",
    "hash-mismatch": "the body's hash is not the announced one",
    "length-mismatch": "the body's length is not the announced one",
    "upgrade-required": "the address is a WebSocket, version 13",
    "base-required": "a deletion needs If-Match",
    "slow-down": "too many at once, or too many wrong passwords",
    "internal": "a fault of the server's own",
    "store-unavailable": "the database is away: try again, nothing is lost",
    "disk-full": "no room on the server's disk",
    "metadata-full": "no room in the database",
    "quota": "no room in the vault",
}
HEADERS = {
    401: ("WWW-Authenticate?", "Retry-After?"),
    405: ("Allow",),
    416: ("Content-Range",),
    426: ("Upgrade", "Sec-WebSocket-Version"),
    429: ("Retry-After",),
    503: ("Retry-After?",),
}
# A field that is always there.
CARRIES = {"conflict": "head", "path-taken": "version"}


def refusals(operation: Operation) -> dict[int, list[str]]:
    """The codes by status, in the order of the protocol's table."""
    codes = {"internal", "wrong-host", *operation.refusals.split()}
    if operation.door != "open":
        codes |= {"unauthorized", "slow-down", "bad-request", "store-unavailable"}
    if operation.writes:
        codes.add("cross-origin")
    if "{vault}" in operation.address:
        codes |= {"not-found", "other-vault"}
    if "{path}" in operation.address:
        codes.add("bad-path")
    if operation.door in ("write", "owner"):
        codes |= {"forbidden", "disk-full", "metadata-full"}
    if operation.body is not None:
        codes |= {"too-large", "encoded-body"}
    found: dict[int, list[str]] = {}
    for code, status in STATUS.items():
        if code in codes:
            found.setdefault(status, []).append(code)
    assert codes <= STATUS.keys(), f"{operation.id} has a code that the protocol does not"
    return found
