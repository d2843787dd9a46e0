"""What a backup has, while others write or after an accident; and what comes of it in another database."""

from __future__ import annotations

import errno
import gzip
import hashlib
import itertools
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from store import backup_contents, backup_format
from store.backup import BackedUp, back_up
from store.backup_folder import BackupFolder, Busy
from store.base import Metadata, User, Vault
from store.bodies import DiskBodies
from store.bodies_guard import removing
from store.errors import DiskFull, Refused, Unavailable
from store.mongo import MongoMetadata
from store.moving import Move, check_in_use
from store.restore import Restored, check_clock, restore
from store.sqlite import SqliteMetadata
from sync.model import Candidate
from tests.contract.log import append, hash_of
from tests.services import ReplicaSet
from tests.store.backups import contents
from tests.store.world import USER, World, sha256

NOW = 1_900_000_000


class Backups:
    """A folder of backups of a world, and where to restore them."""

    def __init__(self, root: Path) -> None:
        self.folder = BackupFolder(root / "backups")
        self._root = root
        self._numbers = itertools.count()

    def make(
        self, world: World, metadata: Any = None, *, keep: int = 7, now: float = NOW, again: bool = False
    ) -> BackedUp:
        bodies = world.bodies
        assert isinstance(bodies, DiskBodies)
        self.folder.prepare()
        with self.folder.locked(alone=True):
            return back_up(
                metadata or world.metadata,
                bodies,
                bodies._root,
                self.folder,
                keep=keep,
                program="test",
                clock=lambda: now,
                again=again,
            )

    def restore(self, metadata: Metadata | None = None, snapshot: str | None = None) -> tuple[World, Restored]:
        place = self._root / f"restored {next(self._numbers)}"
        there = metadata or SqliteMetadata(_made(place) / "gobi.db")
        bodies = DiskBodies(place / "bodies")
        name = snapshot or self.folder.names()[-1]
        done = restore(there, bodies, place / "bodies", self.folder, name, place="name another one")
        return World(there, bodies), done

    def bodies(self) -> set[bytes]:
        found = (self.folder.path / "bodies").glob("*/??/*")
        return {path.read_bytes() for path in found}

    def body(self, vault: Vault, body: bytes) -> Path:
        digest = sha256(body)
        return self.folder.path / "bodies" / vault.id / digest[:2] / digest[2:]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.fixture
def backups(tmp_path: Path) -> Backups:
    return Backups(tmp_path)


@pytest.fixture
def far(mongo: ReplicaSet) -> Iterator[Metadata]:
    """An empty database in MongoDB."""
    name = f"test-{secrets.token_hex(6)}"
    with closing(MongoMetadata(mongo.uri, name)) as one:
        one.prepare()
        yield one
    mongo.drop(name)


def body_of(world: World, body: bytes) -> Path:
    assert isinstance(world.bodies, DiskBodies)
    digest = sha256(body)
    return Path(world.bodies._root) / world.vault.id / digest[:2] / digest[2:]


def fill(world: World) -> None:
    """Histories, a deletion, open and settled conflicts, another person, a purge mark, a setting."""
    first = world.new("a.md", b"one")
    world.new("a.md", b"two", first.stamp)
    world.delete("gone.md", world.new("gone.md", b"gone").stamp)
    world.new("Bücher/日記.md", b"text")
    world.keep("a.md", b"another side", first.stamp)
    settled = world.keep("Bücher/日記.md", b"yet another", first.stamp)
    head = world.head("Bücher/日記.md")
    assert head is not None
    world.resolve(settled, "both", head.stamp)
    world.metadata.add_user("you", "$hash of you$")
    world.metadata.set_member(world.vault.id, "you", "read")
    world.metadata.set_auto_merge(world.vault.id, True)
    world.metadata.set_purge_mark(world.vault.id, 5)
    world.registry.create(USER, "empty")


# -- undisturbed


@pytest.mark.parametrize("to", ["sqlite", "mongo"])
def test_everything_comes_back_in_either_kind_of_database(
    world: World, backups: Backups, to: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_contents, "PAGE", 2)
    monkeypatch.setattr("store.migration.PAGE", 3)
    fill(world)
    made = backups.make(world)
    assert (made.lost, made.problem, made.there) == ([], None, 0)
    assert made.counts == {"user": 2, "vault": 2, "version": 8, "conflict": 2}
    new, done = backups.restore(request.getfixturevalue("far") if to == "mongo" else None)
    assert done.lost == []
    assert contents(new.metadata) == contents(world.metadata)
    assert new.files() == world.files()
    assert new.vault.epoch != world.vault.epoch
    assert new.metadata.secret() != world.metadata.secret()
    again = Backups(backups.folder.path.parent / "second")
    again.folder.path.parent.mkdir()
    again.make(new)
    assert contents(again.restore()[0].metadata) == contents(world.metadata)


def test_whatever_a_vault_or_a_person_comes_to_have_is_in_a_backup(world: World, backups: Backups) -> None:
    """A field that is new, and that nobody thought of here, would be at its default afterwards."""
    fill(world)
    backups.make(world)
    there = backup_format.summary(backups.folder.file(backups.folder.names()[-1]))
    vault = world.vault
    assert vault in there.vaults
    assert all(getattr(vault, name) for name in Vault.__dataclass_fields__)
    assert all(getattr(there.users[0], name) for name in User.__dataclass_fields__)


def test_a_body_is_copied_once_and_read_again_only_when_that_is_asked_for(world: World, backups: Backups) -> None:
    fill(world)
    first = backups.make(world)
    one = world.new("new.md", b"new")
    world.new("copy of new.md", b"new")
    second = backups.make(world)
    assert (second.copied, second.copied_bytes, second.there) == (1, 3, first.copied)
    assert backups.body(world.vault, b"new").stat().st_ino != body_of(world, b"new").stat().st_ino
    backups.body(world.vault, b"new").write_bytes(b"rot")
    assert backups.make(world).copied == 0
    assert backups.make(world, again=True).copied == 1
    assert backups.restore()[0].body(one) == b"new"


def test_a_folder_of_backups_is_closed_to_others(world: World, backups: Backups) -> None:
    fill(world)
    before = os.umask(0o022)
    try:
        backups.make(world)
    finally:
        os.umask(before)
    for path in backups.folder.path.rglob("*"):
        hides = path.parent if path.is_file() else path
        assert not hides.stat().st_mode & 0o077 or not path.stat().st_mode & 0o077, path


def test_it_holds_the_bodies_while_it_copies(world: World, backups: Backups) -> None:
    """From before the metadata is read."""
    assert isinstance(world.bodies, DiskBodies)
    root = world.bodies._root
    tried = []

    def remove() -> None:
        with pytest.raises(Unavailable), removing(root):
            pytest.fail("it removed what the backup needs")
        tried.append(True)

    world.new("a.md", b"one")
    backups.make(world, Meanwhile(world.metadata, remove, before="vaults"))
    assert tried
    with removing(root):
        pass


# -- while others write


class Meanwhile:
    """A database in which something else happens right before it is first asked for something."""

    def __init__(self, real: Any, act: Callable[[], object], *, before: str) -> None:
        self._real = real
        self._act = act
        self._before = before

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._real, name)
        if name == "moving":
            return lambda: Meanwhile(value(), self._once, before=self._before)
        if name == self._before:
            self._once()
        return value

    def _once(self) -> None:
        act, self._act = self._act, lambda: None
        act()


def test_what_is_written_meanwhile_is_not_half_there(world: World, backups: Backups) -> None:
    """New versions, a conflict that is settled, one about a file that was not there: as if they came afterwards."""
    fill(world)
    head = world.head("a.md")
    assert head is not None
    (open_one,) = world.reader.conflicts(world.vault)
    before = contents(world.metadata)

    def write() -> None:
        world.resolve(open_one, "client", head.stamp)
        world.new("later.md", b"later")
        world.keep("later.md", b"another later", None)

    backups.make(world, Meanwhile(world.metadata, write, before="versions"))
    new, done = backups.restore()
    assert _without_stored(contents(new.metadata)) == _without_stored(before)
    assert new.conflict(open_one).open
    assert [one.path for one in new.reader.conflicts(new.vault)] == ["a.md"]
    assert new.resolve(open_one, "client", head.stamp)
    assert done.lost == []


def _without_stored(contents: Any) -> Any:
    users, (empty, vault), logs, _ = contents
    return users, [empty, replace(vault, stored=0)], logs


def test_a_candidate_that_comes_meanwhile_is_kept_with_its_body(world: World, backups: Backups) -> None:
    first = world.new("a.md", b"one")
    world.new("a.md", b"two", first.stamp)
    backups.make(world, Meanwhile(world.metadata, lambda: world.keep("a.md", b"side", first.stamp), before="versions"))
    new, done = backups.restore()
    (conflict,) = new.reader.conflicts(new.vault)
    assert new.vault.conflicts == 1
    assert done.lost == []
    side = new.reader.conflict_side(new.vault, conflict.id, "client")
    with new.reader.open(new.vault, side.hash) as file:
        assert file.read() == b"side"


def test_who_is_removed_meanwhile_is_no_member_afterwards(world: World, backups: Backups) -> None:
    """Or somebody who is given the name one day would be let in."""
    fill(world)
    world.metadata.add_user("third", "$3$")
    backups.make(world, Meanwhile(world.metadata, lambda: world.metadata.remove_user("you"), before="vaults"))
    new, _ = backups.restore()
    names = {user.name for user in new.metadata.users()}
    assert names == {USER, "third"}
    assert all(set(vault.members) <= names for vault in new.metadata.vaults())


def test_a_vault_that_is_removed_meanwhile_is_left_out(world: World, backups: Backups) -> None:
    fill(world)
    other = world.registry.create(USER, "other")[0]
    append(world.metadata, other.id, ("a", "A"), ("b", "B"))
    made = backups.make(
        world, Meanwhile(world.metadata, lambda: world.metadata.remove_vault(other.id), before="conflicts")
    )
    assert made.lost == []
    assert [vault.name for vault in backups.restore()[0].metadata.vaults()] == ["empty", "notes"]


def test_a_purge_that_happens_meanwhile_is_known_by_its_mark(world: World, backups: Backups) -> None:
    """Or a client that has what was purged would be told that the server never heard of it."""
    first = world.new("a.md", b"one")
    world.new("a.md", b"two", first.stamp)

    def purge() -> None:
        world.metadata.set_purge_mark(world.vault.id, first.stamp)

    backups.make(world, Meanwhile(world.metadata, purge, before="versions"))
    assert backups.restore()[0].vault.purge_mark == first.stamp


# -- after an accident


def test_a_body_that_is_missing_or_rotten_is_named_and_the_rest_goes_on(world: World, backups: Backups) -> None:
    kept, gone, rotten = (world.new(f"{name}.md", name.encode()) for name in ("kept", "gone", "rotten"))
    body_of(world, b"gone").unlink()
    body_of(world, b"rotten").write_bytes(b"rottem")
    made = backups.make(world)
    assert [(one.path, one.reason) for one in made.lost] == [("gone.md", "missing"), ("rotten.md", "rotten")]
    assert set(world.reader.lost(world.vault)) == {gone.hash, rotten.hash}, "clients are asked for them"
    new, done = backups.restore()
    assert [(one.vault, one.path, one.reason) for one in done.lost] == [
        ("notes", "gone.md", "missing"),
        ("notes", "rotten.md", "missing"),
    ]
    assert set(new.reader.lost(new.vault)) == {gone.hash, rotten.hash}
    assert not (backups.folder.path / "bodies" / "lost").exists()
    assert new.body(kept) == b"kept"
    body_of(world, b"gone").write_bytes(b"gone")
    body_of(world, b"rotten").write_bytes(b"rotten")
    assert backups.make(world).lost == []
    new, done = backups.restore()
    assert (done.lost, new.body(gone), new.body(rotten)) == ([], b"gone", b"rotten")


def test_a_body_that_the_server_lost_stays_in_the_backup_that_has_it(world: World, backups: Backups) -> None:
    one = world.new("a.md", b"one")
    backups.make(world)
    body_of(world, b"one").unlink()
    assert backups.make(world, keep=1).lost == []
    assert backups.restore()[0].body(one) == b"one"


def test_whole_bodies_in_the_data_folder_are_used_and_rotten_ones_replaced(world: World, backups: Backups) -> None:
    """The database is lost, the bodies are not."""
    one, two = world.new("a.md", b"one"), world.new("b.md", b"two")
    backups.make(world)
    newer = world.new("c.md", b"newer than the backup")
    body_of(world, b"two").write_bytes(b"rot")
    assert isinstance(world.bodies, DiskBodies)
    root = Path(world.bodies._root)
    fresh = SqliteMetadata(root.parent / "fresh.db")
    done = restore(fresh, world.bodies, root, backups.folder, backups.folder.names()[0], place="name another one")
    assert (done.there, done.copied, done.lost) == (1, 1, [])
    new = World(fresh, world.bodies)
    assert (new.body(one), new.body(two)) == (b"one", b"two")
    assert new.new("c.md", b"newer than the backup").hash == newer.hash
    assert new.vault.stored == len(b"one" + b"two" + b"newer than the backup")


def test_what_is_not_whole_is_not_restored(world: World, backups: Backups) -> None:
    fill(world)
    backups.make(world)
    (name,) = backups.folder.names()
    file = backups.folder.file(name)
    whole = file.read_bytes()
    lines = gzip.decompress(whole).splitlines(keepends=True)
    damaged = [whole[:length] for length in range(0, len(whole), 97)]
    damaged += [gzip.compress(b"".join(lines[:count])) for count in range(len(lines))]
    damaged += [gzip.compress(b"".join(lines[:3] + lines[4:])), gzip.compress(b"".join([*lines, lines[-2]]))]
    damaged.append(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    for data in damaged:
        file.write_bytes(data)
        with pytest.raises(Refused, match="take another snapshot"):
            backups.restore()
    file.write_bytes(gzip.compress(lines[0].replace(b'"gobi-backup":1', b'"gobi-backup":2')))
    with pytest.raises(Refused, match="restore it with a newer gobi"):
        backups.restore()


# Written once, and never to be changed: what was saved with this has to be readable for ever.
FORMAT_1 = """\
{"gobi-backup":1,"gobi":"0.1.0","made":1800000000000000}
{"user":{"name":"me","password":"$argon2id$"}}
{"vault":{"id":"00000000000000ab","name":"notes","epoch":"d322f784382a","clock":30,"purge_mark":3,"members":{"me":"owner"},"files":1,"bytes":4,"stored":9,"conflicts":1,"auto_merge":true}}
{"version":{"path":"ä.md","kind":"put","stamp":20,"base":null,"hash":"%s","size":4,"mtime":5,"device":"Büro","user":"me"}}
{"version":{"path":"b.md","kind":"delete","stamp":30,"base":4,"hash":null,"size":0,"mtime":null,"device":"","user":"me"}}
{"conflict":{"id":"a955aa04fa570295","path":"ä.md","base":1,"opened":21,"candidates":[{"n":1,"user":"me","device":"phone","hash":"%s","size":4,"mtime":5,"at":21}],"resolution":null}}
{"vault-end":{"versions":2,"conflicts":1,"open":1,"purge_mark":4,"removed":false}}
"""


def test_the_first_format_is_read_for_ever(backups: Backups) -> None:
    backups.folder.prepare()
    text = (FORMAT_1 % (hash_of("A"), hash_of("C"))).encode()
    counts = f'"user":1,"vault":1,"version":2,"conflict":1,"sha256":"{hashlib.sha256(text).hexdigest()}"'
    whole = text + f'{{"end":{{{counts}}}}}\n'.encode()
    backups.folder.file("2027-01-15T08-00-00Z").write_bytes(gzip.compress(whole))
    new, done = backups.restore()
    vault = new.metadata.vault("notes")
    assert vault is not None
    expected = Vault("00000000000000ab", "notes", vault.epoch, 30, 4, {"me": "owner"}, 1, 4, 0, 1, True)
    assert vault == expected
    assert [version.stamp for version in new.metadata.changes(vault.id, 0, 10)] == [20, 30]
    (conflict,) = new.metadata.open_conflicts(vault.id)
    assert conflict.candidates == (Candidate(1, "me", "phone", hash_of("C"), 4, 5, 21),)
    assert [one.path for one in done.lost] == ["ä.md", "ä.md"]


def test_a_restore_that_no_clock_allows_is_refused(world: World, backups: Backups) -> None:
    """Stamps given now have to be later than those that clients know."""
    world.new("a.md", b"one")
    made = world.vault.clock / 1_000_000 + 100
    backups.make(world, now=made)
    there = backup_format.summary(backups.folder.file(backups.folder.names()[0]))
    check_clock(there, made + 1)
    with pytest.raises(Refused, match="clock"):
        check_clock(there, made - 1)


@pytest.mark.parametrize("to", ["sqlite", "mongo"])
def test_nothing_is_restored_over_what_somebody_has(
    world: World, backups: Backups, to: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    fill(world)
    backups.make(world)
    there = request.getfixturevalue("far") if to == "mongo" else SqliteMetadata(tmp_path / "other.db")
    there.add_user("anna", "$a$")
    before = contents(there)
    with pytest.raises(Refused, match="name another one"):
        backups.restore(there)
    there.remove_user("anna")
    there.moving().mark(None, Move("m1", "arriving", "a move"))
    with pytest.raises(Refused, match="migrate"):
        backups.restore(there)
    there.moving().mark(Move("m1", "arriving", "a move"), None)
    assert before != contents(there)
    backups.restore(there)
    assert contents(there) == contents(world.metadata)


@pytest.mark.parametrize("to", ["sqlite", "mongo"])
def test_cut_off_a_restore_keeps_servers_away_and_begins_anew(
    world: World, backups: Backups, to: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """As after kill -9, when all versions are there and the people are not."""
    fill(world)
    backups.make(world)
    there = request.getfixturevalue("far") if to == "mongo" else SqliteMetadata(tmp_path / "other.db")
    half = Move("restore-1", "arriving", "run it again")
    there.moving().mark(None, half)
    there.moving().take_versions(world.vault.id, world.log())
    with pytest.raises(Unavailable, match="run it again"):
        check_in_use(there.moving().state())
    with pytest.raises(Unavailable, match="run it again"):
        there.add_user("anna", "$a$")
    backups.restore(there)
    check_in_use(there.moving().state())
    assert contents(there) == contents(world.metadata)


# -- which are kept


def test_the_last_few_are_kept_and_the_bodies_that_they_need(world: World, backups: Backups) -> None:
    others = []
    for number in range(4):
        other = world.registry.create(USER, f"other-{number}")[0]
        others.append(other)
        _put(world, other, f"body {number}".encode())
        _put(world, other, b"of all")
        world.new(f"{number}.md", b"note %d" % number)
        backups.make(world, keep=2, now=NOW + number)
        world.metadata.remove_vault(other.id)
        world.bodies.remove_vault(other.id)
    assert len(backups.folder.names()) == 2
    assert backups.bodies() == {b"body 2", b"body 3", b"of all", *(b"note %d" % number for number in range(4))}
    for name, last in zip(backups.folder.names(), (2, 3), strict=True):
        new, done = backups.restore(snapshot=name)
        assert done.lost == []
        assert set(new.files()) == {f"{number}.md" for number in range(last + 1)}


def _put(world: World, vault: Vault, body: bytes) -> None:
    from sync.judge import Write

    write = Write(body.decode(), "put", None, "laptop", USER, mtime=5)
    world.vaults.put(vault, None, write, [body], length=len(body), hash=None)


def test_too_many_bodies_to_be_remembered_are_looked_at_in_rounds(
    world: World, backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.backup_folder._AT_ONCE", 3)
    monkeypatch.setattr("store.body_copies._REMEMBERED", 2)
    test_the_last_few_are_kept_and_the_bodies_that_they_need(world, backups)


def test_a_snapshot_that_cannot_be_read_is_told_and_nothing_is_cleared_away(world: World, backups: Backups) -> None:
    """Nobody knows any more which bodies it needs."""
    other = world.registry.create(USER, "other")[0]
    _put(world, other, b"the other's")
    backups.make(world)
    world.metadata.remove_vault(other.id)
    backups.make(world)
    backups.folder.file(backups.folder.names()[-1]).write_bytes(b"")
    made = backups.make(world, keep=2)
    assert made.problem is not None
    assert backups.folder.names()[0] in made.problem
    assert b"the other's" in backups.bodies()


def test_a_clock_that_was_put_back_makes_no_backup_older_than_the_last(world: World, backups: Backups) -> None:
    first, second = backups.make(world), backups.make(world, now=5)
    assert first.snapshot < second.snapshot
    assert backups.folder.names() == [first.snapshot, second.snapshot]


# -- what is refused


def test_the_backups_of_another_server_are_left_alone(world: World, backups: Backups, tmp_path: Path) -> None:
    """An empty server in the place of one that died would soon have pushed all of them out."""
    fill(world)
    backups.make(world)
    stranger = World.at(tmp_path / "stranger")
    with pytest.raises(Refused, match="another server"):
        backups.make(stranger)
    assert len(backups.folder.names()) == 1
    new, _ = backups.restore()
    assert backups.make(new).lost == []


def test_a_folder_with_something_else_in_it_is_left_alone(world: World, backups: Backups) -> None:
    backups.folder.path.mkdir()
    (backups.folder.path / "letter.txt").write_text("not a backup")
    with pytest.raises(Refused, match="something else"):
        backups.make(world)
    assert os.listdir(backups.folder.path) == ["letter.txt"]
    with pytest.raises(Refused, match="no backups"):
        backups.folder.check()


def test_a_disk_that_is_not_there_is_not_made(world: World, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="mount"):
        Backups(tmp_path / "not mounted").make(world)


def test_of_two_at_once_the_second_is_refused(world: World, backups: Backups) -> None:
    backups.make(world)
    with backups.folder.locked(alone=False), backups.folder.locked(alone=False), pytest.raises(Busy):
        backups.make(world)
    with backups.folder.locked(alone=True), pytest.raises(Busy):
        backups.make(world)


class Usage(NamedTuple):
    free: int


def test_what_will_not_fit_is_refused_before_it_is_copied(
    world: World, backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.new("a.md", b"x" * 1000)
    backups.make(world)
    world.new("b.md", b"y" * 1000)
    world.new("c.md", b"y" * 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(999))
    with pytest.raises(DiskFull, match="free some"):
        backups.make(world)
    assert len(backups.folder.names()) == 1
    assert backups.bodies() == {b"x" * 1000}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1000))
    assert backups.make(world).copied == 1


def test_a_disk_that_fails_is_named_as_the_one_it_is(
    world: World, backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not as the server's own."""
    world.new("a.md", b"one")
    backups.make(world)
    world.new("b.md", b"two")

    def fail(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as broken:
        broken.setattr(os, "link", fail)
        with pytest.raises(Unavailable, match=f"{backups.folder.path} cannot be used") as refused:
            backups.make(world)
    assert "server" not in str(refused.value)
    assert backups.make(world).copied == 1
