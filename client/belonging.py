"""Whether the vault that answers is the one that the folder belongs to, whatever its name.

A name is given anew, to anybody, when its vault was removed; and config.json lies where others may write. So the id of
the vault (docs/protocol.md, section 3) is remembered beside the password, outside the folder, and goes with every
request. Where it is not known yet, or the folder is not the one that was connected, what the folder remembers has to be
that vault's: its cursor, or versions of its files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from client import config as configuration
from client.config import CONFIG, Bound, Config, shown, state_folder
from client.ports import ServerRefused, Stopped
from client.words import command

if TYPE_CHECKING:
    from client.connection import Connection
    from client.index import Record

_OTHER_LOG = ("cursor-expired", "bad-cursor")
_ASKED = 10  # versions that are looked for, of the oldest and of the newest that the folder knows
_LOOKED_AT = 500  # files that are looked for in a folder that was moved or copied


class OtherVault(Stopped):
    """The folder does not belong to the vault that answers; nothing was sent there."""

    def __init__(self, message: str) -> None:
        super().__init__(message, CONFIG)


class Belonging:
    """Of one folder. `headers`: what says to the server which vault is meant."""

    def __init__(self, folder: Path, config: Config, bound: Bound) -> None:
        self._folder = folder
        self._config = config
        self._bound = bound
        self._id = bound.vault_id
        self._settled = bound.proven

    @property
    def headers(self) -> dict[str, str]:
        return {} if self._id is None else {"Gobi-Vault": self._id}

    def settle(self, connection: Connection) -> None:
        """To be called before anything is asked or sent. Raises OtherVault, ServerAway, ServerRefused, Stopped."""
        if self._settled:
            return
        cursor, records = memory(self._folder)
        if not self._bound.here:
            self._check_files(records)
        with closing(connection.without_vault()) as asking:
            answer = identity(asking, self._config.vault)
            if self._id is not None and answer not in (None, self._id):
                raise self.other()
            same = remembers(asking, self._config.vault, cursor, records)
        if same is False:
            raise self.other()
        if same is None and not self._bound.here:
            raise OtherVault(
                f"{shown(self._folder)} has a connection that was made for another folder, and nothing in it says that "
                f"it belongs to {self._config.vault}; connect it: {self._again()}"
            )
        self._settled = True
        self._id = answer or self._id
        configuration.note_vault(self._folder, self._config, self._id)

    def check(self, answered: object) -> None:
        """`answered`: the id in an answer, where there is one. Raises OtherVault."""
        if self._id is not None and isinstance(answered, str) and answered != self._id:
            raise self.other()

    def other(self) -> OtherVault:
        config = self._config
        return OtherVault(
            f"{config.vault} on {config.url} is not the vault that {shown(self._folder)} belongs to: that one was "
            "removed or renamed and its name given to another one, which may be somebody else's, or the folder's "
            "config.json was changed. Nothing was sent. If you want the folder's files in that vault: "
            f"{self._again()} --another-vault"
        )

    def _again(self) -> str:
        config = self._config
        return f"{command('connect', self._folder)} {config.url} {config.vault} --user {config.user}"

    def _check_files(self, records: Mapping[str, Record]) -> None:
        """A folder that was moved or copied has its files with it; a `.gobi` that came here without them is another's.

        Raises OtherVault.
        """
        known = [path for path, record in records.items() if record.stamp is not None][:_LOOKED_AT]
        there = sum(os.path.lexists(self._folder / path) for path in known)
        if there * 2 < len(known):
            raise OtherVault(
                f"the .gobi in {shown(self._folder)} is another folder's: it knows {len(known):,} files, and only "
                f"{there:,} of them are here. Nothing was sent. Put it back where it was; or, if the files were meant "
                f"to go: {self._again()} --another-vault"
            )


def memory(folder: Path) -> tuple[str, Mapping[str, Record]]:
    """The cursor and what is known of each path; nothing where that is damaged. Raises Stopped."""
    from client.clock import SystemClock
    from client.index import START, Damaged, Index

    try:
        index = Index.open(state_folder(folder), repair=False, clock=SystemClock())
    except Damaged:
        return START, {}
    with closing(index):
        return index.cursor, index.records


def identity(connection: Connection, vault: str) -> str | None:
    """The id of the vault that has this name now; None where the server is an older gobi. Raises as a request does."""
    answer = connection.json("GET", _address(vault)).get("id")
    return answer if isinstance(answer, str) else None


def remembers(connection: Connection, vault: str, cursor: str, records: Mapping[str, Record]) -> bool | None:
    """Whether what the folder knows is of this vault; None where it knows nothing.

    A cursor names the log that it is from, and no server takes one of another. Where it is refused, the history may
    have been purged, or the server put back to a backup: then versions tell, whose stamps nobody can choose.
    """
    from client.connection import Body
    from client.index import START

    if cursor != START:
        try:
            asked = Body.of_json({"cursor": cursor, "changes": [], "last": True, "limit": 1})
            connection.json("POST", f"{_address(vault)}/sync", asked)
        except ServerRefused as no:
            if no.code not in _OTHER_LOG:
                raise
        else:
            return True
    stamped = sorted((one for one in records.values() if one.stamp is not None), key=lambda one: one.stamp or 0)
    if not stamped:
        return None if cursor == START else False
    return any(_has(connection, vault, one) for one in _few(stamped))


def _few(records: Sequence[Record]) -> Sequence[Record]:
    return records if len(records) <= 2 * _ASKED else [*records[:_ASKED], *records[-_ASKED:]]


def _has(connection: Connection, vault: str, record: Record) -> bool:
    place = f"{_address(vault)}/history/{quote(record.path)}"
    try:
        answer = connection.json("GET", f"{place}?before={(record.stamp or 0) + 1}&limit=1")
    except ServerRefused as no:
        if no.status not in (404, 410):
            raise
        return False
    return any(
        (row.get("stamp"), row.get("hash")) == (record.stamp, record.hash)
        for row in answer.get("versions") or ()
        if isinstance(row, dict)
    )


def _address(vault: str) -> str:
    return "/v1/vaults/" + quote(vault, safe="")
