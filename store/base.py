"""The contracts of the three places where things are kept, with their promises in words.

Every backend passes the one contract suite in tests/contract/. All methods may be called from many threads or
greenlets at once. A failure of the store itself is raised as Unavailable, MetadataFull or DiskFull, never as the
driver's own error; after any exception nothing was changed unless the method says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Literal, Protocol, TypeVar

from store.aging import Aging
from store.moving import Moving
from sync.model import Conflict, Version
from sync.plan import Facts, Lapse

T = TypeVar("T")

Role = Literal["read", "write", "owner"]
RANK: dict[Role, int] = {"read": 1, "write": 2, "owner": 3}

# Versions that one page of `Metadata.recent` looks at, at most, where few of them match.
LOOKED_AT = 5_000


@dataclass(frozen=True, slots=True)
class Vault:
    """A vault as it stood at one moment.

    `id` is internal and never reused: a vault made again under the name is another vault. `clock` is the stamp of
    the last version ever committed (0: none), `purge_mark` the moment from which on all is known that ever stood: no
    version above it was purged, nor one that was the newest of its path at or after it. `files` and `bytes` count
    live files; `stored` the bytes of all bodies kept, each once. `auto_merge`: a conflict is settled by merging
    where that leaves no doubt. `lapses`: for each time that it was restored the clock that came back, and the time of
    the restore; what was committed after the one and up to the other is not in the log, and was not purged. `versions`:
    how many are in the log.
    """

    id: str
    name: str
    epoch: str
    clock: int
    purge_mark: int
    members: dict[str, Role]
    files: int = 0
    bytes: int = 0
    stored: int = 0
    conflicts: int = 0
    auto_merge: bool = False
    lapses: tuple[Lapse, ...] = ()
    versions: int = field(default=0, compare=False)


def as_lapses(rows: Iterable[Sequence[int]]) -> tuple[Lapse, ...]:
    """A vault's lapses as a database or a backup has them."""
    return tuple((int(after), int(until)) for after, until in rows)


@dataclass(frozen=True, slots=True)
class Device:
    """A machine with a password of its own. `hash` is that password's, `added` µs since 1970, the database's."""

    name: str
    hash: str
    added: int


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is signed in. `id` is no secret; `device`: whose own password it was, None for the user's; `began`
    and `expires` in µs by the database's clock; `agent`: what the browser calls itself."""

    id: str
    device: str | None
    began: int
    expires: int
    agent: str


@dataclass(frozen=True, slots=True)
class User:
    """A person. `password` is the argon2 hash; None for one who cannot sign in. Devices are by name, sessions in the
    order in which they began; those that are over may still be among them."""

    name: str
    password: str | None
    devices: tuple[Device, ...] = ()
    sessions: tuple[Session, ...] = ()

    def stored(self, device: str | None) -> str | None:
        """What is kept of a password: of that device's own, or of the user's where `device` is None."""
        if device is None:
            return self.password
        return next((one.hash for one in self.devices if one.name == device), None)

    def session(self, session_id: str, now: int) -> Session | None:
        """The session, unless it has ended. `now` in µs since 1970."""
        return next((one for one in self.sessions if one.id == session_id and now < one.expires), None)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody has proved to be. `device`: whose own password that took, None for the user's; `stored`: what the
    database kept of that password, by which it is seen whether it is still good (User.stored); `session`: the
    browser's, where it was a cookie."""

    user: str
    device: str | None
    stored: str
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Invitation:
    """Leads to one password for one device, once. `hash` is its secret's; `expires` in µs by the database's clock.

    `password`: the hash of the password that came of it; None until it is used.
    """

    hash: str
    user: str
    vault_id: str
    expires: int
    password: str | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """What `facts` is asked about one path: the reported base and the hashes that may settle it, the best evidence
    first (`sync.plan.evidence`)."""

    path: str
    base: int | None
    hashes: tuple[str, ...] = ()


@dataclass(slots=True)
class Totals:
    """By how much a transaction changes the vault's counters."""

    files: int = 0
    bytes: int = 0
    stored: int = 0


class Transaction(Protocol):
    """The inside of `Metadata.transact`: one vault, locked against every other writer."""

    @property
    def vault(self) -> Vault:
        """The vault as the transaction found it."""

    @property
    def first_stamp(self) -> int:
        """The stamp for the first version appended: max(clock + 1, now)."""

    @property
    def now(self) -> int:
        """The database's time in µs."""

    def heads(self, paths: Collection[str]) -> dict[str, Version]:
        """The newest version of each path that has one, tombstones included."""

    def live_below(self, paths: Collection[str], excluding: Collection[str] = ()) -> dict[str, Version]:
        """For each path that has a live path below it (`path/…`) that is not in `excluding`: one of those."""

    def find(self, wanted: Collection[tuple[str, int]]) -> dict[tuple[str, int], Version]:
        """The versions with these (path, stamp); those that are unknown are left out."""

    def append(self, versions: Sequence[Version], totals: Totals) -> None:
        """Adds to the log. Stamps are consecutive and begin at `first_stamp`. At most once a transaction."""

    def is_good(self, who: Identity) -> bool:
        """Whether what `who` was authenticated with is kept as it was: not where the password was changed, the device
        revoked, the session ended, or the user removed."""

    def conflict(self, conflict_id: str) -> Conflict | None: ...

    def conflicts_on(self, paths: Collection[str]) -> list[Conflict]:
        """Every conflict on these paths, open and settled, oldest first."""

    def save_conflict(self, conflict: Conflict) -> None:
        """Adds or replaces the record with this id, and keeps the vault's count of open ones right."""


class Metadata(Protocol):
    """Users, vaults, and one log of versions a vault.

    `by`, where a method has it: whose request this is. What they came with has to be good when it is committed, and
    their role in the vault enough, else Unauthorized, NotFound or Forbidden is raised; None: whoever runs the server.

    Order: when a reader has seen a version, none with a smaller or equal stamp appears in that vault afterwards.
    Acknowledged is durable: a method that returned survives kill -9 and power loss.
    """

    # -- service

    def ping(self) -> None:
        """Raises Unavailable where the database does not answer within 3 s, or is damaged and takes no writes."""

    def check_sound(self, patience_s: float | None) -> bool:
        """Reads all that it keeps, for so many seconds at most (None: as long as it takes), and returns whether that
        was all. A database that looks after that by itself has nothing to do. Raises Unusable where it is damaged."""

    def close(self) -> None: ...

    def secret(self) -> bytes:
        """32 random bytes, made once for the database and the same for every worker: signs sessions."""

    def identity(self) -> str | None:
        """The number by which the folder of its bodies knows it (store/belonging.py); None before it has one."""

    def identify(self, identity: str, *, replace: bool = False) -> str:
        """Gives it this number unless it has one; returns the one that it has then. `replace`: in any case."""

    def moving(self) -> Moving:
        """Its part in a move to another database. While that goes on, whatever writes raises Unavailable."""

    def aging(self) -> Aging:
        """What the collector needs: the database's time, and what is taken out of logs."""

    # -- people

    def add_user(self, name: str, password: str) -> None:
        """`password` is a hash. Raises NameTaken."""

    def set_password(self, name: str, password: str, *, revoke_devices: bool = False) -> None:
        """Ends the sessions that began with the old one. `revoke_devices`: takes all devices with their sessions, and
        open invitations, too. Raises NotFound."""

    def remove_user(self, name: str, heir: str | None = None) -> list[str]:
        """Also takes the user out of every vault, and all devices and invitations. `heir`: who becomes the owner of
        vaults that would lose their last; the names of these.

        Raises NotFound; LastOwner, where a vault would lose its last and there is no heir.
        """

    def rename_user(self, name: str, new: str) -> None:
        """The password, devices, open invitations and memberships stay; versions keep the name they were written under.
        Sessions end.

        Raises NotFound, NameTaken.
        """

    def user(self, name: str) -> User | None: ...

    def users(self) -> list[User]:
        """By name."""

    def add_device(self, user: str, device: str, hash: str) -> None:
        """Raises NotFound, NameTaken, and Forbidden over people.MOST_DEVICES."""

    def remove_device(self, user: str, device: str, *, by: Identity | None = None) -> None:
        """And its sessions. Raises NotFound."""

    def add_session(
        self,
        user: str,
        session_id: str,
        device: str | None,
        agent: str,
        valid_s: int,
        *,
        by: Identity | None = None,
    ) -> Session:
        """Takes away those that are over, and the oldest over people.MOST_SESSIONS. Raises NotFound, also where the
        device is not the user's."""

    def remove_session(self, user: str, session_id: str, *, by: Identity | None = None) -> None:
        """Raises NotFound."""

    def add_invitation(
        self, hash: str, user: str, vault_id: str, valid_s: int, *, by: Identity | None = None
    ) -> Invitation:
        """Raises NotFound (also where the user is no member), Forbidden over people.MOST_INVITATIONS."""

    def redeem(self, hash: str, device: str, password: str) -> tuple[str, str]:
        """Uses an invitation up and adds the device, both or neither; the user, and the vault's name.

        `password` is a hash. May be repeated with the same device and password. Raises NotFound, always the same, for
        an invitation that is not good (any more); NameTaken and Forbidden as `add_device`.
        """

    # -- vaults

    def create_vault(self, name: str, owner: str, most: int = 0, *, by: Identity | None = None) -> Vault:
        """Raises NameTaken where the name is in use, NotFound where the user is unknown.

        TooMany where the user owns `most` vaults or more already; 0 is no limit.
        """

    def vault(self, name: str) -> Vault | None: ...

    def vault_and_head(self, name: str, path: str) -> tuple[Vault | None, Version | None]:
        """The vault and one path's newest version, in one command: `vault` and `heads` for a single file."""

    def vaults(self, member: str | None = None) -> list[Vault]:
        """By name; those of one member, or all."""

    def set_member(self, vault_id: str, user: str, role: Role, most: int = 0, *, by: Identity | None = None) -> None:
        """Raises NotFound (vault or user), LastOwner; TooMany as `create_vault`, for a new owner. May be repeated."""

    def remove_member(self, vault_id: str, user: str, *, by: Identity | None = None) -> None:
        """Raises NotFound, LastOwner."""

    def rename_vault(self, vault_id: str, name: str) -> None:
        """Everything else stays, its id too. Raises NotFound, NameTaken. May be repeated."""

    def set_auto_merge(self, vault_id: str, on: bool, *, by: Identity | None = None) -> None:
        """Raises NotFound. May be repeated."""

    def remove_vault(self, vault_id: str, *, by: Identity | None = None) -> None:
        """The vault, its log and its conflicts. Raises NotFound."""

    # -- reading the log. A vault id that is unknown reads as an empty log.

    def heads(self, vault_id: str, paths: Collection[str]) -> dict[str, Version]:
        """As in Transaction."""

    def find(self, vault_id: str, wanted: Collection[tuple[str, int]]) -> dict[tuple[str, int], Version]:
        """As in Transaction."""

    def has_stamp(self, vault_id: str, stamp: int) -> bool:
        """Whether a version of this log has the stamp."""

    def changes(self, vault_id: str, after: int, limit: int) -> list[Version]:
        """Versions with stamp > `after`, in stamp order."""

    def live(self, vault_id: str, *, at: int, after: str = "", prefix: str = "", limit: int) -> list[Version]:
        """Paths by byte order above `after`: those live at moment `at`, each as it was then."""

    def listing(self, vault_id: str, *, at: int, after: str, limit: int) -> tuple[list[Version], str | None]:
        """A page of a first listing: heads that are live and not newer than `at`, above path `after`.

        Returns the page and the path to go on after, or None at the end.
        """

    def folder(self, vault_id: str, *, prefix: str, after: str, limit: int) -> list[Version | str]:
        """What lies right under `prefix`, above the name `after` in byte order: each live file as its head, each folder
        with live files in it once, as its name with "/". It takes steps over what lies in the folders, or looks at no
        more than their paths."""

    def recent(
        self, vault_id: str, *, before: int, since: int, device: str | None, user: str | None, prefix: str, limit: int
    ) -> tuple[list[Version], int | None]:
        """Newest first: versions with `since` < stamp < `before`, by this device and user (None: any), whose path has
        the prefix. And what to go on with as `before`, None at the end.

        Few may match, so a page looks at no more than LOOKED_AT versions, or `limit`, and may have fewer than `limit`.
        """

    def history(self, vault_id: str, path: str, *, before: int | None, limit: int) -> list[Version]:
        """Newest first, with stamp < `before` where given."""

    def facts(self, vault_id: str, queries: Sequence[Query]) -> dict[str, Facts]:
        """What sync.plan needs, for every path asked: head, settled base, purge mark. A bounded number of commands."""

    # -- conflicts

    def conflict(self, vault_id: str, conflict_id: str) -> Conflict | None: ...

    def open_conflicts(
        self, vault_id: str, *, after: tuple[int, str] = (0, ""), limit: int | None = None
    ) -> list[Conflict]:
        """Oldest first. With a `limit`: so many at most, those after the one with this (opened, id), in that order."""

    # -- writing

    def transact(
        self,
        vault_id: str,
        work: Callable[[Transaction], T],
        about: Collection[str] = (),
        by: Collection[Identity] = (),
    ) -> T:
        """Runs `work` against the locked vault and commits what it did, or nothing at all.

        `about`: the paths that `work` is going to judge. A database far away reads in one command what is asked about
        them, their folders and what lies below; other paths may be asked about too, at a command each time. `by`: of
        whom `work` is going to ask whether they may, likewise. What it is told of them, and of the vault's members, is
        so at the commit.

        `work` must be repeatable: it runs again where the database asks for it. Its exceptions roll back and come out
        as they are. Where it appends nothing the clock stays. Raises NotFound for an unknown vault.

        Unavailable alone leaves open whether the commit happened, where the database went away in the middle of it:
        repeating the request finds out, as after any lost reply.
        """

    def set_purge_mark(self, vault_id: str, stamp: int) -> None:
        """Raises the purge mark to `stamp`; never lowers it."""

    def renew_epoch(self, vault_id: str) -> str:
        """Gives the vault a new epoch and returns it: its metadata was just restored, which is one more lapse."""


@dataclass(frozen=True, slots=True)
class Received:
    """A body that arrived whole and lies under a temporary name."""

    hash: str
    size: int
    temporary: str


class Reserved(Protocol):
    """Bytes that are put aside for bodies on their way. What a process had put aside is free once it has ended. May
    block for moments."""

    @property
    def size(self) -> int: ...

    def set(self, size: int, room: int) -> bool:
        """Makes it `size` bytes, unless all under its name would come to more than `room` by that; whether it is so
        now. Nothing is always possible. Raises Unavailable, DiskFull."""

    def others(self) -> int:
        """Bytes that are put aside for others under its name. Raises Unavailable."""

    def close(self) -> None:
        """Nothing is put aside any more. May be repeated."""


class Incoming(Protocol):
    """A body on its way in. Not shared between threads."""

    def write(self, chunk: bytes | memoryview) -> None:
        """Raises DiskFull, TooLarge (over the limit it was opened with)."""

    @property
    def flush_due(self) -> bool:
        """Whether enough was written since the last flush that another one now keeps the final one short."""

    def flush(self) -> None:
        """Brings what was written so far to the disk. Slow."""

    def finish(self) -> Received:
        """Closes it. Not yet durable."""

    def discard(self) -> None:
        """Removes what arrived. May be repeated; nothing after finish() was kept."""


class Bodies(Protocol):
    """Files' bytes by vault and hash, straight on disk."""

    def receive(self, limit: int | None = None) -> Incoming: ...

    def keep(self, vault_id: str, received: Sequence[Received]) -> set[str]:
        """Makes these durable under their hashes; returns the hashes that are new to the vault. None is lost any more.

        Returning means: survives power loss. On any error nothing may be acknowledged; the temporary files are gone.
        """

    def reuse(self, vault_id: str, wanted: Iterable[tuple[str, int]]) -> dict[str, bool]:
        """Which of these (hash, size) the vault has whole, each with whether it counts as new (see `forsake`).

        They are made durable and safe from collection.
        """

    def forsake(self, vault_id: str, hashes: Iterable[str]) -> None:
        """Says that no version came of these new bodies: whoever keeps or reuses them next counts them as new.

        May be repeated; bodies that are not there are passed over. Never raises: where it fails, only the count of
        stored bytes stays behind.
        """

    def claim(self, vault_id: str, hashes: Iterable[str]) -> set[str]:
        """Those of these that were forsaken. They are not any more, so whoever asks has them counted: of several
        that ask at once, one is told of each."""

    def counted(self, vault_id: str, wanted: Iterable[tuple[str, int]]) -> set[str]:
        """Which of these (hash, size) the vault has whole and counts already. Only looks."""

    def missing(self, vault_id: str, wanted: Iterable[tuple[str, int]]) -> dict[str, int | None]:
        """Which of these (hash, size) that something refers to are not there whole, each with the bytes that are there
        (None: there is no such body). Cheap: it reads none of them.

        What the collector has in its trash is moved back. Never raises: what cannot be looked at is not known to be
        lost.
        """

    def open(self, vault_id: str, hash: str) -> BinaryIO:
        """Raises BodyMissing, and remembers it as lost; also where it turns out that the body is damaged: then or while
        it is read, before the last of it (store/bodies_verify.py). Where blocking is allowed, as is reading."""

    def lost(self, vault_id: str) -> list[str]:
        """Hashes of bodies that the vault is known to have lost; where there are many, some of them, others each time.
        Cheap."""

    def is_lost(self, vault_id: str, hash: str) -> bool:
        """Whether the vault is known to have lost this one."""

    def discard(self, received: Iterable[Received]) -> None: ...

    def remove_vault(self, vault_id: str) -> None: ...

    def check(self) -> None:
        """Raises DiskFull or Unavailable where a body could not be written now."""

    def reserve(self, name: str) -> Reserved:
        """Nothing yet, of what is put aside under this name by whatever process over these bodies."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Told after a commit: the next versions right after `after`, or a conflict that was opened or settled.

    Where `cursor` is above `after` and there are no `changes`, there were too many to send along: the log has them.
    """

    vault_id: str
    after: int
    cursor: int
    changes: tuple[Version, ...] = ()
    conflicts: tuple[Conflict, ...] = ()


@dataclass(frozen=True, slots=True)
class PeopleChanged:
    """A password was changed, or somebody was removed, or taken out of a vault: what is remembered is not good any
    more."""


@dataclass(frozen=True, slots=True)
class SessionsChanged:
    """Somebody's session was ended: its live sockets have to be, too."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages may have been lost before this one: read again whatever they would have told."""


Message = Notice | PeopleChanged | SessionsChanged | Gap


class Bus(Protocol):
    """Tells other parts, in this process and others, what was committed.

    Losing a message costs time, never correctness; order is not promised.
    """

    def publish(self, message: Message) -> None:
        """Never raises, and never waits for the network or another process."""

    def subscribe(self, reader: Callable[[Message], None]) -> Callable[[], None]:
        """Calls `reader` with every message from now on, this process's own included; returns what ends that."""

    def ping(self) -> None:
        """Raises Unavailable where messages do not reach other processes now."""

    @property
    def waiting(self) -> int:
        """Messages that have not been sent yet."""

    @property
    def refused(self) -> int:
        """Messages that came and were not believed: unsigned, forged, or repeated."""

    def close(self) -> bool:
        """Sends what still waits, for two seconds at most; returns whether all of it was sent. May be repeated."""
