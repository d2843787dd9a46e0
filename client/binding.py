"""Binding a folder to a vault, and letting it go again."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from client import config as configuration
from client.below import files_below
from client.config import CONFIG, BadUrl, Bound, Config, shown
from client.identity import original
from client.nesting import vault_above, vault_below
from client.owner import check_owner
from client.ports import ServerRefused, Stopped
from client.state import check_state
from client.words import command
from sync.model import Json
from sync.paths import is_device, is_name

USAGE = 2
# What a folder remembers of its vault. Without a config.json nobody can say which vault that was.
_MEMORY = (
    "index.db",
    "index.db-wal",
    "index.db-shm",
    "index.db-journal",
    "queue.jsonl",
    "last-sync",
    "ignore",
    "ignore-theirs",
)


def check_words(folder: Path, url: str, vault: str, user: str | None, device: str | None, insecure: bool) -> Config:
    """What `gobi connect` was told, as a configuration; `user` is None where only the server knows, and becomes "".

    Raises Stopped for what no server would take.
    """
    try:
        address = configuration.normalise_url(url, insecure)
    except BadUrl as error:
        raise Stopped(str(error), USAGE) from None
    for what, name in (("vault", vault), ("user", user)):
        if name is not None and not is_name(name):
            raise Stopped(
                f"{shown(name)!r} cannot name a {what}: use up to 64 of a-z, 0-9, '.', '_' and '-', beginning with a "
                "letter or a digit",
                USAGE,
            )
    device = device or configuration.default_device()
    if not is_device(device):
        raise Stopped(f"{shown(device)!r} cannot name a device: use 1 to 64 printable ASCII characters", USAGE)
    wanted = Config(address, vault, user or "", device, insecure, configuration.new_id())
    return _as_before(folder, wanted)


def _as_before(folder: Path, wanted: Config) -> Config:
    """`wanted`, with the id that the folder has already. Raises Stopped where no folder can be bound."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise Stopped(f"{shown(folder)} is not a folder", USAGE)
    check_owner(folder, configuration.state_folder(folder))
    check_state(folder)
    present = _present(folder)
    if present is None:
        _check_nesting(folder)
        return wanted
    return wanted if original(folder, present) is not None else wanted._replace(id=present.id)


def _check_nesting(folder: Path) -> None:
    """Raises Stopped where a vault would come to lie in another."""
    if (other := vault_above(folder)) is not None:
        how = f"lies inside {shown(other)}"
    elif (other := vault_below(folder)) is not None:
        how = f"has {shown(other)} in it"
    else:
        return
    raise Stopped(
        f"{shown(folder)} {how}, which is connected already, and no file can belong to two vaults; connect a folder "
        f"beside it, or run {command('disconnect', other)} first",
        USAGE,
    )


def _present(folder: Path) -> Config | None:
    """None for a folder that is not connected, or whose configuration is damaged past telling: connecting mends it."""
    try:
        return configuration.load(folder)
    except Stopped:
        return None


def check_unmoved(folder: Path, wanted: Config, another: bool) -> None:
    """Raises Stopped where the folder is connected elsewhere, and that is not meant to change (`another`).

    For an invitation: whether the same vault is there could only be asked once it is used up.
    """
    present = None if another else _present(folder)
    if present is not None and (present.url, present.vault) != (wanted.url, wanted.vault):
        raise Stopped(
            f"{shown(folder)} is connected to {present.vault} on {present.url}; where that has another address now, "
            "connect with --user instead of an invitation; if the folder is to go to another vault, add "
            f"--another-vault, or run {command('disconnect', folder)} first",
            USAGE,
        )


def bind(
    folder: Path,
    wanted: Config,
    password: str,
    *,
    create: bool,
    another: bool = False,
    authority: str | None = None,
) -> tuple[Config, Json]:
    """Asks the server first, then writes; returns what the folder is bound to, and what the server says of the vault.

    Where the password is a device's own, that device's name is the one that counts. A folder that is bound already goes
    to another address, or another name, only where the same vault is there; `another`: it is to go to another vault,
    and to forget what it knows of the one before. `authority` (PEM) is remembered; where it is None, the one that is
    remembered stays.

    Raises ServerAway, ServerRefused, Stopped.
    """
    from client.connection import Connection
    from client.http import HttpTransport
    from client.lock import locked
    from client.moved import check_same_vault, elsewhere, has_memory

    present = _present(folder)
    if authority is None and present is not None:
        authority = configuration.authority(present)
    connection = Connection(wanted.url, wanted.user, password, wanted.device, authority=authority)
    transport = HttpTransport(connection, wanted.vault)
    moved = present is not None and (present.url, present.vault) != (wanted.url, wanted.vault)
    try:
        if create and (another or not (moved or (present is not None and has_memory(folder)))):
            transport.create_vault()
        state = transport.vault()
        if present is not None and not another:
            check_same_vault(folder, present, wanted, connection, state, _bound(folder, present))
        fixed = connection.json("GET", "/v1/session").get("device")
    except ServerRefused as error:
        if present is not None and moved and not another and error.code == "not-found":
            raise elsewhere(folder, present, wanted) from None
        raise _explained(error, wanted) from None
    finally:
        transport.close()
    if isinstance(fixed, str) and is_device(fixed):
        wanted = wanted._replace(device=fixed)
    try:
        folder.mkdir(exist_ok=True)
        if present is None:
            _forget(folder)
        elif another:
            with locked(configuration.state_folder(folder)):
                _forget(folder)
    except OSError as error:
        raise Stopped(f"cannot write to {shown(folder)}: {error.strerror}", CONFIG) from None
    vault_id = state.get("id")
    configuration.save(folder, wanted, password, authority, vault_id if isinstance(vault_id, str) else None)
    return wanted, state


def _bound(folder: Path, present: Config) -> Bound | None:
    """None where that is lost, or was said of something else."""
    try:
        return configuration.bound(folder, present)
    except Stopped:
        return None


def _explained(error: ServerRefused, wanted: Config) -> Exception:
    if error.code == "unauthorized":
        return Stopped(f"{wanted.url} does not accept the user {wanted.user} with this password; try again", CONFIG)
    if error.code == "not-found":
        return Stopped(
            f"{wanted.user} has no vault {wanted.vault} on {wanted.url}; check the name, or add --create to make it",
            CONFIG,
        )
    if error.code == "name-taken":
        return Stopped(
            f"the vault {wanted.vault} is somebody else's; choose another name, or ask its owner to let you in", CONFIG
        )
    return error


def _forget(folder: Path) -> None:
    for name in _MEMORY:
        (configuration.state_folder(folder) / name).unlink(missing_ok=True)


def release(folder: Path) -> Path | None:
    """Removes the password and `.gobi`; returns the trash where it has something in it, which stays. Raises Stopped."""
    from client.lock import locked

    state = configuration.state_folder(folder)
    check_owner(folder, state)
    check_state(folder)
    if not state.is_dir():
        configuration.load(folder)  # says what is wrong
    with locked(state):
        present = _present(folder)
        if present is not None and original(folder, present) is None:
            configuration.forget_password(present)
        return _remove_state(state)


def _remove_state(state: Path) -> Path | None:
    trash = state / "trash"
    try:
        keep = _has_files(state)
        if not keep:
            shutil.rmtree(state)
            return None
        for entry in state.iterdir():
            if entry == trash:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    except OSError as error:
        raise Stopped(f"cannot remove {shown(state)}: {error.strerror}; run gobi disconnect again", CONFIG) from None
    return trash


def _has_files(state: Path) -> bool:
    """Whether anything is in the trash."""
    descriptor = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return any(
            stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
            for folder, name in files_below("trash", descriptor)
        )
    finally:
        os.close(descriptor)


def vault_path(folder: Path, name: str) -> str:
    """The path in the vault that a person means by `name`: from the current folder, or inside `folder`.

    Symbolic links on the way to `folder` are seen through, those inside it are not. Raises Stopped for what is outside.
    """
    root = folder.resolve()
    if os.path.isabs(name):
        candidates = [_seen(Path(os.path.normpath(name)), root)]
    else:
        here = Path.cwd()
        candidates = [root / name]
        if here.is_relative_to(root) and os.path.lexists(here / name):
            candidates.insert(0, here / name)
    place = os.path.normpath(candidates[0])
    relative = os.path.relpath(place, root)
    if relative == ".":
        raise Stopped(f"{shown(name)} is the whole folder; name the files or folders in it", USAGE)
    if relative.split(os.sep)[0] == "..":
        raise Stopped(f"{shown(name)} is not inside {shown(folder)}", USAGE)
    return relative


def _seen(path: Path, root: Path) -> Path:
    """`path` from `root` on, where one of the folders above it is `root` under another name."""
    for above in (path, *path.parents):
        if above.resolve() == root:
            return root / path.relative_to(above)
    return path
