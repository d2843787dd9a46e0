"""What `gobi doctor` finds out about the data folder and its disk. Whatever it writes there it removes again."""

from __future__ import annotations

import errno
import os
import secrets
import statistics
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from store.accounts import user_name
from store.findings import Finding, gigabytes, ok, warning, wrong
from store.flush import flush_files

SUBJECT = "data folder"
SETTING = "GOBI_DATA_DIR"

FLUSHES = 5
LITTLE_BYTES, LITTLE_SHARE = 1 << 30, 0.05


def check(folder: Path, bodies: Path) -> Iterator[Finding]:
    """`bodies` is the folder in it, not necessarily on the same disk and perhaps not yet there."""
    place = folder
    try:
        if not folder.exists():
            yield _missing(folder)
        elif not folder.is_dir():
            yield wrong(SUBJECT, f"{folder} is no folder", f"name one in {SETTING}", "setting")
        else:
            yield from _owner(folder)
            place = next(one for one in (bodies / "tmp", bodies, folder) if one.is_dir())
            yield _probe(place)
            yield from _space(os.statvfs(place))
    except OSError as error:
        yield _trouble(place, error)


def _missing(folder: Path) -> Finding:
    above = next(one for one in folder.parents if one.exists())
    if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
        return ok(SUBJECT, f"{folder} is not there yet: the first start makes it")
    advice = f"make it, and give it to the server's user, who is {user_name(os.geteuid())} here; or correct {SETTING}"
    return wrong(SUBJECT, f"{folder} is not there and cannot be made", advice, "setting")


def _owner(folder: Path) -> Iterator[Finding]:
    there = folder.stat()
    if there.st_mode & 0o077:
        yield warning(SUBJECT, f"others may look into {folder}", f"chmod 700 {folder} (the next start does it)")
    if there.st_uid != os.geteuid():
        yield warning(
            SUBJECT,
            f"{folder} belongs to {user_name(there.st_uid)}, and this is {user_name(os.geteuid())}",
            f"run gobi as {user_name(there.st_uid)}, or with sudo",
        )


def _probe(place: Path) -> Finding:
    """Does once what storing a body does."""
    temporary, name = (place / f"doctor-{secrets.token_hex(8)}{end}" for end in ("", ".named"))
    try:
        taken = []
        for _ in range(FLUSHES):
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, secrets.token_bytes(4096))
                start = time.perf_counter()
                os.fsync(descriptor)
                taken.append(time.perf_counter() - start)
            finally:
                os.close(descriptor)
        linked = _link(temporary, name)
        os.rename(temporary, name)
        flush_files([os.fspath(place)], on=os.fspath(place))
    finally:
        for one in (temporary, name):
            with suppress(OSError):
                one.unlink()
    text = f"{place}: written, flushed within {1000 * statistics.median(taken):.1f} ms, renamed"
    return ok(SUBJECT, text if linked else f"{text}; there are no hard links, and gobi does without")


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:
        return False
    target.unlink()  # or renaming would do nothing: they are the same file
    return True


def _space(disk: os.statvfs_result) -> Iterator[Finding]:
    free, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    text = f"{gigabytes(free)} free, {free / size if size else 0:.0%} of the disk"
    if free < LITTLE_BYTES or free < LITTLE_SHARE * size:
        yield warning(SUBJECT, text, f"make room, or move it to a larger disk and change {SETTING}")
    else:
        yield ok(SUBJECT, text)
    if disk.f_files and disk.f_favail < LITTLE_SHARE * disk.f_files:
        text = f"room for {disk.f_favail} more files only"
        yield warning(SUBJECT, text, "the file system has few inodes: make one with more, and move the folder there")


def _trouble(place: Path, error: OSError) -> Finding:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return wrong(SUBJECT, f"{place}: no room left", "make room on its disk")
    if error.errno == errno.EROFS:
        advice = "mount it writable; a failing disk goes read-only by itself: see dmesg"
        return wrong(SUBJECT, f"{place} is on a disk that is read-only", advice)
    if error.errno == errno.EIO:
        return wrong(SUBJECT, f"{place}: the disk fails", "see dmesg; save what is there on another disk first")
    advice = f"give it to the server's user, who is {user_name(os.geteuid())} here (chown -R), or correct {SETTING}"
    return wrong(SUBJECT, f"{place} cannot be written ({error.strerror})", advice, "setting")
