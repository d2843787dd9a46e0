"""A server, or a vault, that has another address or name than before: what the folder knows of it stays good."""

from __future__ import annotations

from pathlib import Path

from client.clock import SystemClock
from client.config import Config, shown, state_folder
from client.index import START, Index
from client.ports import ServerRefused, Stopped, Transport
from client.words import command

USAGE = 2
_OTHER_LOG = ("cursor-expired", "bad-cursor")


def check_same_vault(folder: Path, present: Config, wanted: Config, transport: Transport) -> None:
    """Raises Stopped where the vault is not the one that the folder was synced with, or nobody can tell.

    A cursor names the log that it is from (docs/protocol.md, section 1), and no server takes one of another.
    """
    index = Index.open(state_folder(folder), repair=False, clock=SystemClock())
    cursor, records = index.cursor, bool(index.records)
    index.close()
    if cursor == START:
        if records:  # a first sync that was cut off: of which vault, nothing says
            raise elsewhere(folder, present, wanted)
        return
    try:
        transport.sync(cursor, [], True, 1)
    except ServerRefused as no:
        if no.code in _OTHER_LOG:
            raise elsewhere(folder, present, wanted) from None
        raise


def elsewhere(folder: Path, present: Config, wanted: Config) -> Stopped:
    return Stopped(
        f"{shown(folder)} is connected to {present.vault} on {present.url}, and {wanted.vault} on {wanted.url} is not "
        f"that vault (as it was); to change to it, run {command('disconnect', folder)} first",
        USAGE,
    )
