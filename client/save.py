"""`gobi restore --to`: one version's bytes in a file of its own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from client.config import shown
from client.executable import give
from client.moves import move_new
from client.ports import ServerAway, Stopped
from client.state import STATE
from sync.model import Version

if TYPE_CHECKING:
    from client.http import HttpTransport

USAGE = 2


def save(transport: HttpTransport, version: Version, target: Path, folder: Path) -> None:
    """Writes the body to `target`, whole or not at all and never over another file. `folder`: the synced one.

    Raises Stopped, ServerAway, ServerRefused.
    """
    if os.path.lexists(target):
        raise _taken(target)
    # In the folder a temporary file would be synced like any other, were it not in gobi's own.
    inside = target.parent.resolve().is_relative_to(folder.resolve())
    temporary = (folder / STATE if inside else target.parent) / f".gobi-restore-{os.urandom(6).hex()}"
    try:
        with temporary.open("xb") as file:
            for piece in _checked(transport.get(version), version):
                file.write(piece)
            file.flush()
            if version.executable:
                with suppress(OSError):  # a disk that keeps no such thing
                    give(file.fileno(), on=True)
            os.fsync(file.fileno())
        _date(temporary, version.mtime)
        _move(temporary, target)
    except FileExistsError:
        raise _taken(target) from None
    except OSError as error:
        raise Stopped(f"cannot write {shown(target)}: {error.strerror}; choose another place", USAGE) from None
    finally:
        temporary.unlink(missing_ok=True)


def _date(file: Path, mtime_us: int | None) -> None:
    try:
        if mtime_us is not None:
            os.utime(file, ns=(mtime_us * 1000, mtime_us * 1000))
    except (OSError, OverflowError):
        pass  # a time that this disk cannot hold is no reason to go without the file


def _checked(pieces: Iterator[bytes], version: Version) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        yield piece
    if digest.hexdigest() != version.hash:
        raise ServerAway(f"{version.path!r} did not come as the server announced it; try again")


def _move(source: Path, target: Path) -> None:
    with _opened(source.parent) as here, _opened(target.parent) as there:
        move_new(here, source.name, there, target.name)
        os.fsync(there)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _taken(target: Path) -> Stopped:
    return Stopped(f"{shown(target)} exists, and nothing is overwritten; give another name to --to", USAGE)
