"""What the engine needs from outside: a file system, a server, a clock. A simulator can stand in for all three.

Paths are vault paths (docs/protocol.md, section 1) unless a name says `local`. Times are nanoseconds since 1970 on
the file system's side and microseconds on the server's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

from sync.model import Action, Change, Json, Version, bounded_mtime

if TYPE_CHECKING:
    from client.rules import Rules

SMALL = 8 * 1024 * 1024
"""Files up to this size (bytes) travel in bundles and are held in memory; larger ones are streamed alone."""

_LATEST = (1 << 62) - 1  # µs, in the year 148,000; gobi 0.1.0 refuses a push with a later mtime


class Entry(NamedTuple):
    """A regular file as the file system shows it. Two equal entries mean: not touched in between.

    Numbers are the file system's own and may need more than 64 bits: it has times before 1677 and after 2262, and inode
    numbers without a sign.
    """

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @property
    def mtime_us(self) -> int:
        """As it is sent: within what every server takes."""
        return bounded_mtime(self.mtime_ns // 1000, _LATEST)


class Skipped(NamedTuple):
    """Something in the folder that cannot be synced, and why, in words for the user. `name` is printable.

    `path`: its vault path, where it has one. What lies there and below is unknown: neither missing nor deleted.
    `refused`: it is, or may hold, a file that ought to be synced; a person has to do something first. `by_rule`: gobi
    leaves it out of its own accord.
    """

    name: str
    reason: str
    path: str | None = None
    refused: bool = False
    by_rule: bool = False


class Mount(NamedTuple):
    """A disk inside the folder. `what`: which one, also after the machine was started anew, as far as that can be said.

    `number` is another one for each time that something is mounted. `automatic`: it is mounted when somebody looks.
    """

    what: str
    number: int
    automatic: bool = False


class Stopped(Exception):
    """The client cannot go on. The message says what is wrong and what to do next; `exit_code` is the command's."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class StateTrouble(Stopped):
    """gobi's own files cannot be used just now: the disk is full, over its quota, read-only, or fails.

    `what`: without what to do about it, for whoever tries again by itself.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; nothing is lost, correct that and sync again", 78)
        self.what = what


class LocalChange(Exception):
    """The local file is not what it was when the decision was made: decide again."""


class Blocked(Exception):
    """The file system cannot hold this (a folder in the way, no room, no permission, a name it does not take)."""


class NoRoom(Blocked):
    """The disk is full: nothing else will fit either."""


class FileSystem(Protocol):
    """One folder. Never follows a symbolic link, never leaves the folder, never shows `.gobi`."""

    def scan(self) -> tuple[list[Entry], list[Skipped]]:
        """All regular files that are not ignored, and what had to be skipped. Reads `.gobiignore` anew, and may raise
        what `read_rules` does."""

    def look_at(self, paths: Iterable[str]) -> tuple[list[Entry], list[Skipped]]:
        """The same for single paths, going by the patterns of the latest scan."""

    def mounts(self) -> dict[str, Mount] | None:
        """What is mounted inside the folder right now, by path; None where the system does not tell.

        May be asked by any thread.
        """

    patterns: Rules
    """What is ignored, as `.gobiignore` said when it was read last."""

    def read_rules(self) -> None:
        """Reads `.gobiignore` anew. Raises Stopped where it cannot be, and nothing is known of before."""

    def keep_rules(self) -> None:
        """Remembers `.gobiignore`, if it is good, for a time when it is not. Survives the end of the process."""

    def dispute_rules(self, theirs: bytes | None) -> None:
        """`.gobiignore` is in conflict with this one; with None, it is not any more. While it is, both hold."""

    def forget_rules(self) -> None:
        """The file was deleted, and that was meant: its patterns hold no longer."""

    @property
    def rules(self) -> str:
        """Names the ignore patterns that hold: others have another name."""

    def ignored(self, path: str) -> bool: ...

    def stat(self, path: str) -> Entry | None:
        """None where no regular file is there. Raises Blocked where the place cannot be reached."""

    def executable(self, path: str) -> bool | None:
        """Whether the file's owner may run it; None where the file system does not keep that, or there is no file."""

    def set_executable(self, path: str, expected: Entry, on: bool) -> Entry:
        """Lets those who may read the file run it, or nobody. Returns its entry then.

        That is `expected` where it is another file by now, or may not be changed.
        """

    def open(self, path: str) -> BinaryIO:
        """Raises LocalChange where it is gone, Blocked where it cannot be read."""

    def read(self, path: str) -> tuple[Entry, bytes]:
        """A file's bytes and the entry they belong to. Raises Blocked.

        Raises LocalChange where it is gone, changed meanwhile, or is larger than SMALL.
        """

    def digest(self, path: str) -> tuple[Entry, str]:
        """The SHA-256 and the entry it belongs to. Raises LocalChange, Blocked."""

    def stage(self, chunks: Iterable[bytes]) -> str:
        """Writes a temporary file inside `.gobi`; returns its handle.

        Raises Blocked (NoRoom), and whatever `chunks` raises; then it leaves nothing.
        """

    def unstage(self, handle: str) -> None: ...

    def trashed(self) -> Iterator[tuple[int, BinaryIO]]:
        """Every file in `.gobi/trash/`, with its size, open until the next. What cannot be read is passed over."""

    def flush(self) -> None:
        """Everything staged, and every name changed so far, survives power loss once this returns. Raises Blocked."""

    def install(self, handle: str, path: str, mtime_us: int | None, expected: Entry | None, trash: bool) -> Entry:
        """Moves a staged, flushed file to `path`, whose present file must still be `expected` (None: must not exist).

        The new file has the owner, group, permissions and extended attributes of the one it replaces, as far as that
        may be; with none before it, what the system gives to a new file in that folder.
        With `trash` the replaced file goes to `.gobi/trash/`. Returns the entry of the staged file in its new place,
        whatever lies there by now: what another program has put there is no part of this, and shows as an edit. The
        handle is used up, also where this raises LocalChange or Blocked.
        """

    def remove(self, path: str, expected: Entry, trash: bool, staying: Collection[str] = ()) -> None:
        """Removes the file, and folders that this leaves empty, but for those in `staying`.

        With `trash` it goes to `.gobi/trash/`. Raises LocalChange, Blocked.
        """

    def rename(
        self, path: str, to: str, expected: Entry, mtime_us: int | None = None, staying: Collection[str] = ()
    ) -> Entry:
        """Moves the file, and gives it the modification time. Returns the entry that it has there, as `install` does.

        Removes folders that this leaves empty, but for those in `staying`. Raises LocalChange, Blocked (`to` exists).
        """

    def folder_mtime(self, path: str) -> int | None:
        """When the folder of this file was last modified, in µs. None where there is no such folder."""

    def release(self) -> tuple[list[str], bool]:
        """Looks again at files that were replaced or removed while somebody wrote to them, or that an earlier run left.

        What was written meanwhile is in the trash then. Returns what a person ought to know, one sentence each, and
        whether a program still has such a file open, so that this is to be called again.
        """


class ServerAway(Exception):
    """No server, no network, or it asked to come back later. `retry_after` in seconds where it said so.

    `then`: what a person can do about `message`. Who tries again without being told leaves that out. `on_the_way`: the
    line, or something on it that is not gobi, cut or answered this request; a smaller one may come through.
    """

    def __init__(
        self, message: str, retry_after: float | None = None, *, then: str = "", on_the_way: bool = False
    ) -> None:
        super().__init__(f"{message}; {then}" if then else message)
        self.message = message
        self.retry_after = retry_after
        self.on_the_way = on_the_way


class SlowDown(ServerAway):
    """The server is there and asks for patience: too many requests, or too many failed sign-ins."""


class ServerRefused(Exception):
    """The server said a clear no: HTTP status, the protocol's code word, its words, and the parsed problem."""

    def __init__(self, status: int, code: str, detail: str, problem: Json | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.problem = problem or {}


class SyncAnswer(NamedTuple):
    """`lost`: how many bodies the server's disk is known to have lost. `max_file`: bytes of the largest file that it
    takes; 0 where it does not say."""

    actions: list[Action]
    cursor: str
    more: bool
    lost: int = 0
    max_file: int = 0


class Result(NamedTuple):
    """What became of one pushed change. `status` and `code` as in section 6; `head` where the server told it."""

    path: str
    status: str
    version: Version | None = None
    conflict: Json | None = None
    code: str | None = None
    head: Version | None = None


class Pushed(NamedTuple):
    """`after` and `cursor` are None unless a client standing at `after` may move to `cursor`."""

    results: list[Result]
    after: str | None
    cursor: str | None


class Transport(Protocol):
    """One vault on one server. Every method may be repeated. Raises ServerAway, ServerRefused."""

    def sync(self, cursor: str, changes: Sequence[Change], last: bool, limit: int) -> SyncAnswer: ...

    def push(self, changes: Sequence[Change], bodies: dict[str, bytes], keep: bool) -> Pushed:
        """Puts and deletes in one request; `bodies` by path, for those puts whose bytes are sent along."""

    def put(self, change: Change, body: BinaryIO, keep: bool) -> Pushed:
        """One large file, streamed. A 412, path-taken or other clear no comes back as one `rejected` result."""

    def pull(self, wanted: Sequence[Version]) -> Iterator[tuple[Version, Iterator[bytes]]]:
        """Bodies in order, each to be read before the next. Verifying them is the caller's."""

    def get(self, version: Version) -> Iterator[bytes]:
        """One large body, streamed."""

    def vault(self) -> Json:
        """`GET /v1/vaults/{vault}`."""

    def conflicts(self) -> list[Json]: ...

    def lost(self) -> list[str]:
        """Hashes of bodies that the server's disk has lost."""

    def give_back(self, hash: str, size: int, body: BinaryIO) -> None:
        """One of those."""


class Clock(Protocol):
    def time_ns(self) -> int: ...

    def boot_ns(self) -> int:
        """When this machine started, by its present clock; 0 where that is unknown."""

    def today(self) -> str:
        """The local date, YYYY-MM-DD."""

    def sleep(self, seconds: float) -> None: ...


class Progress(Protocol):
    def start(self, what: str, files: int, size: int) -> None: ...

    def advance(self, files: int, size: int) -> None: ...

    def done(self) -> None: ...
