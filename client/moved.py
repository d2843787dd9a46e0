"""A server, or a vault, that has another address or name than before: what the folder knows of it stays good."""

from __future__ import annotations

from pathlib import Path

from client.belonging import memory, remembers
from client.config import Bound, Config, shown
from client.connection import Connection
from client.ports import Stopped
from client.words import command
from sync.model import Json

USAGE = 2


def check_same_vault(
    folder: Path, present: Config, wanted: Config, connection: Connection, state: Json, bound: Bound | None
) -> None:
    """`state`: what the server says of the vault; `bound`: what was remembered of the one that the folder belongs to.

    Raises Stopped where it is another one, or nobody can tell.
    """
    known = None if bound is None or not bound.here else bound.vault_id
    if known is not None and state.get("id") is not None:
        same: bool | None = known == state["id"]
    else:
        same = remembers(connection, wanted.vault, *memory(folder))
    renamed = (present.url, present.vault) != (wanted.url, wanted.vault)
    if same or (renamed and not has_memory(folder)) or (same is None and not renamed):
        return
    raise elsewhere(folder, present, wanted)


def has_memory(folder: Path) -> bool:
    """Whether the folder was synced, if only in part: until then it may go where its person says."""
    from client.index import START

    cursor, records = memory(folder)
    return cursor != START or bool(records)


def elsewhere(folder: Path, present: Config, wanted: Config) -> Stopped:
    return Stopped(
        f"{shown(folder)} is connected to {present.vault} on {present.url}, and {wanted.vault} on {wanted.url} is not "
        "that vault (as it was). If you want the folder's files in that one, for all its members to see, add "
        f"--another-vault; or run {command('disconnect', folder)} first",
        USAGE,
    )
