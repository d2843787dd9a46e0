"""Bringing here what a command has just changed on the server: by a sync, or by whoever keeps the folder in step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from client.lock import Held
from client.words import command

if TYPE_CHECKING:
    from client.http import HttpTransport
    from client.ports import Progress
    from client.report import Report


def bring(
    folder: Path, transport: HttpTransport, device: str, progress: Progress, meant: frozenset[int]
) -> Report | str:
    """`meant`: as in client.options. The sync's report, or in one sentence who else does it. Raises as a sync does."""
    from client.folder import Folder

    try:
        return Folder(folder).sync(transport, device, progress=progress, meant=meant)
    except Held as other:
        if other.watching:
            return "The gobi watch that keeps the folder in step brings it here"
        return f"Another gobi is at work in the folder; if it does not bring this here, run {command('sync', folder)}"
