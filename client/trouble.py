"""What the operating system says about a file, as client.ports.Blocked and in words for the user."""

from __future__ import annotations

import errno

from client.ports import Blocked, NoRoom

_WORDS = {
    errno.EACCES: "no permission; check who owns the file and its folder",
    errno.EPERM: "not permitted; check who owns the file and its folder",
    errno.EROFS: "the folder is read-only",
    errno.ENOTDIR: "something that is not a folder is in the way",
    errno.EEXIST: "a name that differs only in case is in the way; rename one of them",
    errno.EXDEV: "its folder is on another disk, and nothing can be moved there",
    errno.EINVAL: "this disk cannot hold a file of that name",
    errno.ENAMETOOLONG: "this disk cannot hold so long a name",
    errno.EILSEQ: "this disk cannot hold a file of that name",
    errno.EFBIG: "this disk cannot hold so large a file",
}


def words(error: OSError) -> str:
    return _WORDS.get(error.errno or 0) or f"the disk says: {error.strerror}"


def blocked(error: OSError) -> Blocked:
    """NoRoom where nothing else will fit either."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoRoom("no room left on this disk; free some")
    return Blocked(words(error))


def name_not_held(name: str) -> Blocked:
    """The disk took `name` for another one: in another case, or without its last dot."""
    return Blocked(words(OSError(errno.EEXIST if name[-1] not in ". " else errno.EINVAL, "")))
