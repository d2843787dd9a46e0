"""What the kernel's news of one name leaves out: the file's other names, and whether it may be run."""

from __future__ import annotations

import os

from client.executable import may_be_run
from client.index import Index, Record


def other_names(root: str, path: str, index: Index) -> list[str]:
    """Hard links of the same file: the kernel tells only of the name that was written through."""
    try:
        status = os.lstat(os.path.join(root, path))
    except OSError:
        return []
    if status.st_nlink == 1:
        return []
    records = list(index.records.values())
    return [record.path for record in records if record.inode == status.st_ino and record.path != path]


def became_executable(root: str, path: str, record: Record) -> bool:
    """Whether the file may be run now and might not when it was recorded, or the reverse."""
    try:
        return may_be_run(os.lstat(os.path.join(root, path))) != record.executable
    except OSError:
        return False
