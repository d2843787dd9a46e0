"""What the server answers, in JSON, as types: for the schemas only, nothing is ever made of them.

A field that is not always there is `Maybe`; one that may be null says so.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from handlers.problems import STATUS
from handlers.shapes import Hash, Mtime, Size, Stamp
from sync.model import Verb, VersionKind
from sync.paths import MAX_PATH_BYTES

T = TypeVar("T")
Maybe: TypeAlias = T | UnsetType

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Path = Annotated[str, Meta(min_length=1, max_length=MAX_PATH_BYTES)]
Cursor = Annotated[str, Meta(description="Opaque: everything up to here has been seen. `0`: nothing has.")]
Role = Literal["read", "write", "owner"]
Code = Annotated[str, Meta(extra_json_schema={"enum": list(STATUS)})]
Count = Annotated[int, Meta(ge=0)]

# -- people and vaults


class Health(Struct):
    status: Literal["ok"]


class Checks(Struct):
    """`ok`, or what is wrong."""

    metadata: str
    bodies: str
    notify: str


class Readiness(Struct):
    status: Literal["ok", "failing"]
    checks: Checks


class SignedIn(Struct):
    """`device`: where it was that device's own password."""

    user: Name
    device: Maybe[str] = UNSET


class Device(Struct):
    """`added`: microseconds since 1970."""

    name: str
    added: int


class Session(Struct):
    """`began`, `expires`: microseconds since 1970; `device`: where it was that device's own password; `current`: the
    one that this request came with."""

    id: str
    began: int
    expires: int
    agent: str
    current: bool
    device: Maybe[str] = UNSET


class SessionList(Struct):
    sessions: list[Session]


class DeviceList(Struct):
    devices: list[Device]


class Invitation(Struct):
    """`expires`: microseconds since 1970."""

    code: str
    expires: int


class Redeemed(Struct):
    user: Name
    vault: Name
    device: str


class VaultEntry(Struct):
    """`files` and `bytes` count live files. `id`: of the vault, whatever its name."""

    name: Name
    id: str
    role: Role
    cursor: Cursor
    files: Count
    bytes: Count


class VaultList(Struct):
    vaults: list[VaultEntry]


class Vault(VaultEntry):
    """`conflicts`: how many are open. `quota` (0: none) and `stored` are bytes, every body once, history included."""

    epoch: str
    conflicts: Count
    members: dict[str, Role]
    quota: Count
    stored: Count
    auto_merge: bool


class Membership(Struct):
    user: Name
    role: Role


# -- versions


class _Written(Struct, kw_only=True):
    path: Path
    kind: VersionKind
    base: Stamp | None
    hash: Hash | None
    size: Size
    mtime: Mtime | None
    device: str
    user: str
    executable: Maybe[Literal[True]] = UNSET
    at: Maybe[Stamp] = UNSET


class Version(_Written, kw_only=True):
    """One change of one path. A `delete` has no hash, and size 0."""

    stamp: Stamp


class StoredVersion(Version, kw_only=True):
    """With the vault's cursors right before and right after it. They are null where there is no new version."""

    after: Cursor | None
    cursor: Cursor | None


class FileList(Struct):
    """`folders`: with `delimiter` only. `next` is to be given as `after`; null at the end."""

    files: list[Version]
    next: str | None
    folders: Maybe[list[str]] = UNSET


class VersionList(Struct):
    """Newest first. `next` is to be given as `before`; null at the end."""

    versions: list[Version]
    next: Stamp | None


class NewVersions(Struct):
    versions: list[Version]


class ChangePage(Struct):
    changes: list[Version]
    cursor: Cursor
    more: bool


class Action(Struct):
    """What a client is to do about one path. `base`: with `upload` and `conflict` only."""

    do: Verb
    path: Path
    head: Version | None
    base: Maybe[Stamp | None] = UNSET


class SyncAnswer(Struct):
    """For those who may write, and with the last page only. `lost`: of how many bodies the server is known to have lost
    the bytes; left out where there are none. `max_file`: bytes of the largest file that it takes. `vault`: its id."""

    vault: str
    actions: list[Action]
    cursor: Cursor
    more: bool
    lost: Maybe[Count] = UNSET
    max_file: Maybe[Count] = UNSET


class LostBodies(Struct):
    lost: list[Hash]


class UndoneChange(_Written, kw_only=True):
    """A version that takes a change back. `stamp` is null in a dry run. `restores`: the stamp of the version that comes
    back, null where the path is deleted."""

    stamp: Stamp | None
    restores: Stamp | None


class SkippedChange(Version, kw_only=True):
    """The head of a path that is left alone, and why."""

    reason: Literal["others", "conflict", "since", "path-taken", "purged", "body-missing"]


class Undone(Struct):
    """`until` is to be given back when a dry run is followed by the real one."""

    changes: list[UndoneChange]
    skipped: list[SkippedChange]
    until: Cursor


class Moment(Struct):
    """The last stamp of what had been made by then. `sure`: nothing up to it may have been made later."""

    stamp: Stamp
    sure: bool


# -- conflicts


class Candidate(Struct):
    n: Annotated[int, Meta(ge=1)]
    user: str
    device: str
    hash: Hash
    size: Size
    mtime: Mtime | None
    at: Stamp
    executable: Maybe[Literal[True]] = UNSET


class Resolution(Struct):
    """By a person, or by a merge: `candidate`, `user`, `device` and the stamps `versions`. By itself, because the head
    came to have the only candidate's bytes: that head's stamp, `at`, and `by` whom."""

    keep: Literal["server", "client", "both", "merged"]
    candidate: Maybe[int] = UNSET
    user: Maybe[str] = UNSET
    device: Maybe[str] = UNSET
    versions: Maybe[list[Stamp]] = UNSET
    at: Maybe[Stamp] = UNSET
    by: Maybe[str] = UNSET


class Conflict(Struct):
    """Two sides changed one path from one base. `server` is the head at the time of reading."""

    id: str
    path: Path
    state: Literal["open", "settled"]
    opened: Stamp
    base: Version | None
    server: Version | None
    candidates: Annotated[list[Candidate], Meta(min_length=1)]
    resolution: Maybe[Resolution] = UNSET


class KeptCandidate(Struct):
    conflict: Conflict
    head: Version | None


class ConflictList(Struct):
    conflicts: list[Conflict]


Lines = Annotated[list[Count], Meta(min_length=2, max_length=2)]


class Hunk(Struct):
    """A changed region, in lines from 0, without the second."""

    kind: Literal["client", "server", "same", "conflict"]
    base: Lines
    client: Lines
    server: Lines
    text: Lines


class Merged(Struct):
    mergeable: Annotated[bool, Meta(extra_json_schema={"const": True})]
    clean: bool
    text: str
    hunks: list[Hunk]
    candidate: int
    head: Stamp


class NotMergeable(Struct):
    mergeable: Annotated[bool, Meta(extra_json_schema={"const": False})]
    reason: Literal["not-text", "too-large", "deleted", "no-base", "settled"]


# -- many files


class PushResult(Struct):
    """`code`: what a single request would have been refused with."""

    path: str
    status: Literal["stored", "same", "deleted", "conflict", "need-body", "rejected"]
    version: Maybe[Version] = UNSET
    conflict: Maybe[Conflict] = UNSET
    code: Maybe[Code] = UNSET
    head: Maybe[Version] = UNSET


class Pushed(Struct):
    """In the manifest's order. `after` and `cursor` are null unless no other version lies between them."""

    results: list[PushResult]
    after: Cursor | None
    cursor: Cursor | None


# -- refusals


class MissingVersion(Struct):
    path: Path
    stamp: Stamp


class Problem(Struct):
    """RFC 9457. `head` goes with `conflict`, and with `not-found` where the file was deleted; `version`, the one in the
    way, with `path-taken`; `missing` with a pull that asked for unknown versions."""

    type: str
    title: str
    status: int
    detail: str
    code: Code
    request_id: str
    head: Maybe[Version | None] = UNSET
    version: Maybe[Version] = UNSET
    missing: Maybe[list[MissingVersion]] = UNSET
