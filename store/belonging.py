"""Whether a database and a folder of bodies belong together, for two that do not are the worst mistake there is: by an
empty folder every body is lost, and by an empty database every body is garbage.

The database has a number, its identity, which the mark in the folder repeats (store/bodies_mark.py). Both are made when
a server first starts on them, and on a deployment from before there were marks, if what lies in the folder fits.
"""

from __future__ import annotations

from collections.abc import Sequence

from store import bodies_mark
from store import bodies_walk as walk
from store.base import Metadata, Vault
from store.bodies_aside import TRASH
from store.bodies_incoming import translated
from store.errors import Misconfigured

_ON_PURPOSE = "If they are to be used together all the same, say so once with `gobi check --adopt`"


def check(metadata: Metadata, root: str) -> None:
    """Changes nothing. `root`: the folder of the bodies, which need not be there. Raises Misconfigured, Unavailable."""
    with translated():
        own, mark = metadata.identity(), bodies_mark.read(root)
        if own is None or own != mark:
            _judge(own, mark, metadata.vaults(), root)


def check_without_database(root: str) -> None:
    """The same, where the database is yet to be made. Raises Misconfigured, Unavailable."""
    with translated():
        _judge(None, bodies_mark.read(root), [], root)


def bind(metadata: Metadata, root: str) -> str:
    """Checks, and sees to it that both name each other; returns the identity. `root` has to be there. Raises
    Misconfigured, Unavailable, Full."""
    with translated():
        own, mark = metadata.identity(), bodies_mark.read(root)
        if own is not None and own == mark:
            return own
        fits = _judge(own, mark, metadata.vaults(), root)
        if own is None and mark is not None and fits:
            return metadata.identify(mark)
        if own is None:
            # The mark first: cut off after that, it fits whatever the database says later.
            own = metadata.identify(bodies_mark.write(root, bodies_mark.new_identity(), replace=mark is not None))
        return bodies_mark.write(root, own, replace=True) if bodies_mark.read(root) != own else own


def adopt(metadata: Metadata, root: str) -> None:
    """From now on the bodies are this database's, whatever was before. Raises Unavailable, Full."""
    with translated():
        own = metadata.identity() or metadata.identify(bodies_mark.new_identity())
        bodies_mark.write(root, own, replace=True)


def _judge(own: str | None, mark: str | None, vaults: Sequence[Vault], root: str) -> bool:
    """Of a database and a folder that do not name each other: whether one of its vaults has bodies there.
    Raises Misconfigured where they do not belong together."""
    fits = any(_has_bodies(root, vault.id) for vault in vaults)
    needed = any(vault.files or vault.stored for vault in vaults)
    others = fits or any(walk.has_bodies(root, vault_id) for vault_id in walk.vault_ids(root))
    if own is None and fits:
        return True  # from before there were marks, or an older copy of the database that the mark names
    if needed and mark is None:
        where = f"{root} lacks the mark of the database's bodies" if others else f"{root} has none of the bodies"
        raise Misconfigured(
            f"{where}, and the database knows of files: is the disk mounted, and is GOBI_DATA_DIR right? "
            f"{_ON_PURPOSE}; clients then send again what they have"
        )
    if needed:
        raise Misconfigured(
            f"the bodies in {root} belong to another database: see to GOBI_DATA_DIR, GOBI_MONGO_URI and GOBI_MONGO_DB. "
            f"{_ON_PURPOSE}"
        )
    if others:
        raise Misconfigured(
            f"the database knows of no files, and there are bodies in {root}: was it lost, or is it another one? See "
            "to GOBI_DATA_DIR, GOBI_MONGO_URI and GOBI_MONGO_DB, or put a backup back (gobi restore-backup); to begin "
            "anew, move that folder away"
        )
    return False


def _has_bodies(root: str, vault_id: str) -> bool:
    return walk.has_bodies(root, vault_id) or walk.has_bodies(f"{root}/{TRASH}", vault_id)
