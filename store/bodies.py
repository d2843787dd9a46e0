"""Bodies straight on disk: `<root>/<vault id>/ab/cdef…`, named by their SHA-256.

A body gets its name only after its bytes were flushed: named earlier, a file that a power cut emptied would pass for
a good one ever after. Temporary files lie in `<root>/tmp`, on the same file system. Beside a body of which no version
came, or none is left, lies an empty file, `cdef….forsaken`. Whoever misses a body looks into the trash
(bodies_aside.py) before saying so.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Sequence
from functools import partial
from io import FileIO
from pathlib import Path
from typing import BinaryIO, NoReturn, cast

from store import healing
from store.base import Received
from store.bodies_aside import FORSAKEN, TRASH, bring_back, make_folder, place, quarantine, trash_place
from store.bodies_incoming import DiskIncoming, remove, translated
from store.bodies_mark import Presence
from store.bodies_verify import Verified, Watched, damaged
from store.errors import BodyMissing, Unavailable
from store.flush import flush_files
from store.reservations import Reservation

log = logging.getLogger("gobi.bodies")

# Longer than any upload can take: its reads have a deadline, and one request has a size limit.
LEFTOVER_S = 24 * 3600
# The vault's count of stored bytes leaves out a body with FORSAKEN beside it. Whoever removes that has the body counted
# again, and of several at the same moment only one can.

# The name is taken; or the file system has no hard links, or no more for this file.
_NO_LINK = (errno.EEXIST, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK)

# The collector may take a body to the trash once while somebody reuses it: its decision is older than their touch.
_TRIES = 3


class DiskBodies:
    """Implements base.Bodies under `root`.

    `make`: makes that folder where it is missing. Later on it never does: one that vanishes, with its disk perhaps, is
    waited for. `identity`: what the folder's mark says (store/bodies_mark.py), where it has one; another folder in its
    place is none.
    """

    def __init__(self, root: Path, *, make: bool = True, identity: str | None = None) -> None:
        self._root = os.fspath(root)
        self._temporary = os.path.join(self._root, "tmp")
        self._known_folders: set[str] = set()
        # Unlike that of any other process, and of this one before a restart.
        self._prefix = secrets.token_hex(8)
        self._count = itertools.count()
        self._verified = Verified(self._put_aside)
        self._presence = Presence(self._root, identity)
        with translated():
            if make and not os.path.isdir(self._temporary):
                os.makedirs(self._root, mode=0o700, exist_ok=True)
                make_folder(self._root, self._temporary)
                flush_files([self._root, os.path.dirname(os.path.abspath(self._root))], on=self._root)

    def receive(self, limit: int | None = None) -> DiskIncoming:
        with translated():
            self._presence.check()
        return DiskIncoming(f"{self._temporary}/{self._prefix}-{next(self._count)}", limit)

    def keep(self, vault_id: str, received: Sequence[Received]) -> set[str]:
        new: set[str] = set()
        try:
            with translated():
                self._presence.check()
                self._keep(vault_id, received, new)
        except BaseException:
            self.discard(received)
            self.forsake(vault_id, new)
            raise
        return new

    def _keep(self, vault_id: str, received: Sequence[Received], new: set[str]) -> None:
        flush_files([one.temporary for one in received], on=self._root)
        folders: set[str] = set()
        for one in received:
            folder, path = self._place(vault_id, one.hash)
            folders |= self._make_folder(folder)
            bring_back(self._root, vault_id, one.hash)  # or it would be there twice
            if _name(one, path):
                new.add(one.hash)
            folders.add(folder)
        flush_files(folders, on=self._root)
        self._known_folders |= folders
        new -= healing.found(self._root, vault_id, {one.hash for one in received})  # counted all the time

    def reuse(self, vault_id: str, wanted: Iterable[tuple[str, int]]) -> dict[str, bool]:
        found: dict[str, bool] = {}
        with translated():
            self._presence.check()
            for digest, size in wanted:
                # Touched before anything else: from now on the collector sees that it is young.
                if digest not in found and self._touch(vault_id, digest) == size:
                    found[digest] = False
            self._flush(vault_id, found)
            for digest in found:
                _, path = self._place(vault_id, digest)
                found[digest] = _claim(path)
        return found

    def _touch(self, vault_id: str, digest: str) -> int | None:
        """The body's size, None where there is none."""
        _, path = self._place(vault_id, digest)
        for _ in range(_TRIES):
            try:
                os.utime(path)
                return os.stat(path).st_size
            except FileNotFoundError:
                if not bring_back(self._root, vault_id, digest):
                    return None
        raise Unavailable("the server's bodies are being moved right now: try again in a moment")

    def _flush(self, vault_id: str, hashes: Iterable[str]) -> None:
        paths = {path for digest in hashes for path in self._place(vault_id, digest)}
        for attempt in range(_TRIES):
            try:
                return flush_files(paths, on=self._root)
            except FileNotFoundError:  # into the trash it went; nothing failed to be flushed
                if attempt == _TRIES - 1:
                    raise
                for digest in hashes:
                    bring_back(self._root, vault_id, digest)
        raise AssertionError("unreachable")

    def forsake(self, vault_id: str, hashes: Iterable[str]) -> None:
        for digest in hashes:
            _, path = self._place(vault_id, digest)
            try:
                if _stat(path) is not None:
                    os.close(os.open(path + FORSAKEN, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            except OSError:
                pass  # whatever made the body useless is the better thing to tell

    def claim(self, vault_id: str, hashes: Iterable[str]) -> set[str]:
        with translated():
            return {digest for digest in hashes if _claim(self._place(vault_id, digest)[1])}

    def counted(self, vault_id: str, wanted: Iterable[tuple[str, int]]) -> set[str]:
        found: set[str] = set()
        with translated():
            self._presence.check()
            for digest, size in wanted:
                _, path = self._place(vault_id, digest)
                there = _stat(path)
                if there is not None and there.st_size == size and _stat(path + FORSAKEN) is None:
                    found.add(digest)
        return found

    def missing(self, vault_id: str, wanted: Iterable[tuple[str, int]]) -> dict[str, int | None]:
        lost: dict[str, int | None] = {}
        for digest, size in wanted:
            _, path = self._place(vault_id, digest)
            try:
                there = _stat(path)
                if there is None and bring_back(self._root, vault_id, digest, referenced=True):
                    there = _stat(path)
                if there is None or there.st_size != size:
                    lost[digest] = there.st_size if there is not None else None
            except OSError:
                pass  # a disk that does not say: it is not known to be lost
        try:
            self._presence.check()
        except (OSError, Unavailable):
            return {}  # all of them are away, for now
        return lost

    def open(self, vault_id: str, hash: str) -> BinaryIO:
        _, path = self._place(vault_id, hash)
        with translated():
            try:
                found = open(path, "rb", buffering=0)  # noqa: SIM115  # it is what this gives
            except FileNotFoundError:
                found = self._open_again(vault_id, hash, path)
            file = cast(BinaryIO, Watched(found, partial(self._unreadable, vault_id, hash)))
            try:
                return self._verified.open(vault_id, hash, file)
            except BaseException:
                file.close()
                raise

    def _unreadable(self, vault_id: str, digest: str, error: OSError) -> NoReturn:
        """The body is left where it is, for it may be whole; whoever sends it again replaces it. Raises BodyDamaged."""
        log.error("the disk does not give the body %s of vault %s: %s", digest, vault_id, error)
        healing.note_lost(self._root, vault_id, [digest])
        raise damaged(digest) from None

    def _open_again(self, vault_id: str, digest: str, path: str) -> FileIO:
        """Raises BodyMissing, Unavailable, OSError."""
        try:
            bring_back(self._root, vault_id, digest, referenced=True)
            return open(path, "rb", buffering=0)
        except OSError as error:
            if error.errno == errno.EROFS:  # it is in the trash, and has to stay there
                return open(trash_place(self._root, vault_id, digest), "rb", buffering=0)
            if not isinstance(error, FileNotFoundError):
                raise
            self._presence.check()
            healing.note_lost(self._root, vault_id, [digest])
            raise BodyMissing(
                f"the server has lost the body {digest[:12]}…: a client that has the file brings it back with its next "
                "sync, or restore a backup"
            ) from None

    def _put_aside(self, vault_id: str, digest: str, inode: int) -> None:
        try:
            quarantine(self._root, vault_id, digest, inode)
            healing.note_lost(self._root, vault_id, [digest])
        except OSError as error:  # it is not served all the same
            log.error("the damaged body %s cannot be put aside: %s", digest, error)

    def lost(self, vault_id: str) -> list[str]:
        with translated():
            return healing.some_lost(self._root, vault_id)

    def is_lost(self, vault_id: str, hash: str) -> bool:
        with translated():
            return healing.is_lost(self._root, vault_id, hash)

    def discard(self, received: Iterable[Received]) -> None:
        for one in received:
            remove(one.temporary)

    def remove_vault(self, vault_id: str) -> None:
        folder = os.path.join(self._root, vault_id)
        self._known_folders.difference_update([one for one in list(self._known_folders) if one.startswith(folder)])
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(os.path.join(self._root, TRASH, vault_id), ignore_errors=True)
        shutil.rmtree(os.path.join(self._root, healing.LOST, vault_id), ignore_errors=True)

    def check(self) -> None:
        probe = self.receive()
        try:
            probe.write(b"gobi")
        finally:
            probe.discard()

    def reserve(self, name: str) -> Reservation:
        return Reservation(self._root, name)

    def sweep(self) -> None:
        """Removes what uploads left behind that were cut off by a crash."""
        oldest = time.time() - LEFTOVER_S
        with translated():
            self._presence.check()
        with translated(), os.scandir(self._temporary) as entries:
            for entry in entries:
                there = _stat(entry.path)  # None: another worker's, finished meanwhile
                if there is not None and there.st_mtime < oldest:
                    remove(entry.path)

    def _place(self, vault_id: str, digest: str) -> tuple[str, str]:
        path = place(self._root, vault_id, digest)
        return os.path.dirname(path), path

    def _make_folder(self, folder: str) -> set[str]:
        """Makes the folder of a hash; returns the folders whose new entries have to be flushed."""
        if folder in self._known_folders:
            return set()
        make_folder(self._root, folder)
        return {os.path.dirname(folder), self._root}


def _name(received: Received, path: str) -> bool:
    """Gives the flushed file its name; whether the vault did not have such a body, or had not counted it.

    A link is only made where the name is free: of uploads of one body at the same moment, one finds it new.
    """
    try:
        os.link(received.temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        there = _stat(path)
        # Over what is there: equal bytes, and what was just flushed may heal a damaged file, which is counted.
        os.rename(received.temporary, path)
        return _claim(path) or there is None
    remove(received.temporary)
    return True


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _claim(path: str) -> bool:
    """Whether the body was forsaken; it is not any more."""
    try:
        os.unlink(path + FORSAKEN)
    except FileNotFoundError:
        return False
    return True
