"""People, their devices, sessions and invitations in the embedded database. A user's devices and sessions are JSON
lists in the user's row, which whoever comes in has read anyway."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from store import access
from store.base import Device, Identity, Invitation, Session, User
from store.people import (
    check_may_invite,
    is_open,
    no_invitation,
    sessions_not_of,
    sessions_of_devices,
    with_device,
    with_session,
    without_device,
    without_session,
)
from store.refusals import no_user, not_in_vault, user_exists

_USER = "SELECT name, password, devices, sessions FROM users"
_INVITATION = "SELECT hash, user, vault, expires, password FROM invitations"


def add(db: sqlite3.Connection, name: str, password: str) -> None:
    if db.execute("INSERT OR IGNORE INTO users (name, password) VALUES (?, ?)", (name, password)).rowcount == 0:
        raise user_exists(name)


def set_password(db: sqlite3.Connection, name: str, password: str, *, revoke_devices: bool) -> None:
    if db.execute("UPDATE users SET password = ? WHERE name = ?", (password, name)).rowcount == 0:
        raise no_user(name)
    _set_sessions(db, name, () if revoke_devices else sessions_of_devices(require(db, name)))
    if revoke_devices:
        _set_devices(db, name, ())
        db.execute("DELETE FROM invitations WHERE user = ?", (name,))


def remove(db: sqlite3.Connection, name: str) -> None:
    for table in ("members", "invitations"):
        db.execute(f"DELETE FROM {table} WHERE user = ?", (name,))
    if db.execute("DELETE FROM users WHERE name = ?", (name,)).rowcount == 0:
        raise no_user(name)


def rename(db: sqlite3.Connection, name: str, new: str) -> None:
    require(db, name)
    if user(db, new) is not None:
        raise user_exists(new)
    db.execute("UPDATE users SET name = ?, sessions = '[]' WHERE name = ?", (new, name))
    for table in ("members", "invitations"):
        db.execute(f"UPDATE {table} SET user = ? WHERE user = ?", (new, name))


def user(db: sqlite3.Connection, name: str) -> User | None:
    row = db.execute(f"{_USER} WHERE name = ?", (name,)).fetchone()
    return _user_of(row) if row else None


def users(db: sqlite3.Connection) -> list[User]:
    return [_user_of(row) for row in db.execute(f"{_USER} ORDER BY name")]


def require(db: sqlite3.Connection, name: str) -> User:
    """Raises NotFound."""
    found = user(db, name)
    if found is None:
        raise no_user(name)
    return found


def check_good(db: sqlite3.Connection, by: Identity | None) -> None:
    """Raises Unauthorized where what `by` came with is not good any more."""
    if by is not None:
        access.check_good(user(db, by.user), by)


def insert(db: sqlite3.Connection, people: Iterable[User]) -> None:
    rows = [(one.name, one.password, _devices_text(one.devices), _sessions_text(one.sessions)) for one in people]
    db.executemany("INSERT INTO users (name, password, devices, sessions) VALUES (?, ?, ?, ?)", rows)


# -- devices


def add_device(db: sqlite3.Connection, name: str, device: Device) -> None:
    _set_devices(db, name, with_device(require(db, name), device))


def remove_device(db: sqlite3.Connection, name: str, device: str) -> None:
    owner = require(db, name)
    _set_devices(db, name, without_device(owner, device))
    _set_sessions(db, name, sessions_not_of(owner, device))


# -- sessions


def add_session(db: sqlite3.Connection, name: str, session: Session) -> Session:
    _set_sessions(db, name, with_session(require(db, name), session))
    return session


def remove_session(db: sqlite3.Connection, name: str, session_id: str) -> None:
    _set_sessions(db, name, without_session(require(db, name), session_id))


# -- invitations


def invite(db: sqlite3.Connection, hash: str, name: str, vault_id: str, now: int, valid_s: int) -> Invitation:
    require(db, name)
    if _vault_name(db, vault_id, name) is None:
        raise not_in_vault(name)
    db.execute("DELETE FROM invitations WHERE expires <= ?", (now,))
    counting = "SELECT count(*) FROM invitations WHERE user = ? AND password IS NULL"
    check_may_invite(name, db.execute(counting, (name,)).fetchone()[0])
    made = Invitation(hash, name, vault_id, now + valid_s * 1_000_000)
    insert_invitations(db, [made])
    return made


def redeem(db: sqlite3.Connection, hash: str, device: Device) -> tuple[str, str]:
    row = db.execute(f"{_INVITATION} WHERE hash = ?", (hash,)).fetchone()
    found = _invitation_of(row) if row else None
    if found is None or found.expires <= device.added:
        raise no_invitation()
    vault, owner = _vault_name(db, found.vault_id, found.user), user(db, found.user)
    if vault is None or owner is None:
        raise no_invitation()
    if is_open(found, owner, device.name, device.hash):
        _set_devices(db, owner.name, with_device(owner, device))
        db.execute("UPDATE invitations SET password = ? WHERE hash = ?", (device.hash, hash))
    return owner.name, vault


def invitations(db: sqlite3.Connection) -> list[Invitation]:
    return [_invitation_of(row) for row in db.execute(f"{_INVITATION} ORDER BY hash")]


def insert_invitations(db: sqlite3.Connection, some: Iterable[Invitation]) -> None:
    rows = [(one.hash, one.user, int(one.vault_id, 16), one.expires, one.password) for one in some]
    db.executemany("INSERT INTO invitations (hash, user, vault, expires, password) VALUES (?, ?, ?, ?, ?)", rows)


def _vault_name(db: sqlite3.Connection, vault_id: str, member: str) -> str | None:
    row = db.execute(
        "SELECT name FROM vaults JOIN members ON members.vault = vaults.key WHERE vaults.key = ? AND members.user = ?",
        (int(vault_id, 16), member),
    ).fetchone()
    return None if row is None else str(row[0])


def _set_devices(db: sqlite3.Connection, name: str, devices: Sequence[Device]) -> None:
    db.execute("UPDATE users SET devices = ? WHERE name = ?", (_devices_text(devices), name))


def _set_sessions(db: sqlite3.Connection, name: str, left: Sequence[Session]) -> None:
    db.execute("UPDATE users SET sessions = ? WHERE name = ?", (_sessions_text(left), name))


def _sessions_text(left: Sequence[Session]) -> str:
    return json.dumps([[one.id, one.device, one.began, one.expires, one.agent] for one in left])


def _devices_text(devices: Sequence[Device]) -> str:
    return json.dumps([[one.name, one.hash, one.added] for one in devices])


def _user_of(row: tuple[str, str | None, str, str]) -> User:
    name, password, devices, open_sessions = row
    return User(
        name,
        password,
        tuple(Device(*one) for one in json.loads(devices)),
        tuple(Session(*one) for one in json.loads(open_sessions)),
    )


def _invitation_of(row: tuple[str, str, int, int, str | None]) -> Invitation:
    hash, name, vault, expires, password = row
    return Invitation(hash, name, f"{vault:016x}", expires, password)
