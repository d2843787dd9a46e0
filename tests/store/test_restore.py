"""What of a backup can be restored after an accident, and where."""

from __future__ import annotations

import gzip
import hashlib
import time
from pathlib import Path

import pytest

from store import backup_format
from store.base import Vault
from store.bodies import DiskBodies
from store.errors import Refused, Unavailable
from store.moving import Move, check_in_use
from store.restore import check_clock, restore
from store.sqlite import SqliteMetadata
from sync.model import Candidate
from tests.contract.log import hash_of
from tests.store.backups import Backups, body_of, contents, fill
from tests.store.world import World


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
    others = (b"[]", b"5", b'{"user":5}', b'{"vault":{"id":1}}')
    damaged += [gzip.compress(b"".join([*lines[:1], other, b"\n", *lines[2:]])) for other in others]
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
    assert [clock for clock, _ in vault.lapses] == [30]
    expected = Vault("00000000000000ab", "notes", vault.epoch, 30, 4, {"me": "owner"}, 1, 4, 0, 1, True, vault.lapses)
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
    with pytest.raises(Refused, match="clock is 60 s before"):
        check_clock(there, made - 60)


TEN_YEARS = 10 * 365 * 24 * 3600


@pytest.mark.parametrize("to", ["sqlite", "mongo"])
def test_a_vault_whose_stamps_ran_ahead_is_restored_and_new_stamps_are_later_than_all_that_clients_know(
    tmp_path: Path, backups: Backups, to: str, request: pytest.FixtureRequest
) -> None:
    """By a clock that was wrong once. Clients may know thousands that came after the backup, each a microsecond on."""
    now = int(time.time())
    ahead = [TEN_YEARS]
    metadata = SqliteMetadata(tmp_path / "source.db", now=lambda: (now + ahead[0]) * 1_000_000)
    world = World(metadata, DiskBodies(tmp_path / "bodies"))
    world.new("a.md", b"in ten years")
    ahead[0] = 0
    done = backups.make(world, now=now)
    assert done.ahead == {"notes": pytest.approx(TEN_YEARS, abs=2)}
    check_clock(backup_format.summary(backups.folder.file(done.snapshot)), now)
    known = [world.new(f"{number}", b"after the backup").stamp for number in range(100)]
    there = request.getfixturevalue("far") if to == "mongo" else None
    new, _ = backups.restore(there)
    first = new.new("b.md", b"first after it")
    assert first.stamp > known[-1]
    assert new.new("c.md", b"second").stamp == first.stamp + 1
    assert new.files()["a.md"] == b"in ten years"


def test_a_backup_that_was_made_by_a_clock_that_ran_ahead_is_restored_when_somebody_insists(
    world: World, backups: Backups
) -> None:
    world.new("a.md", b"one")
    made = int(time.time()) + TEN_YEARS
    backups.make(world, now=made)
    new, _ = backups.restore(above=made * 1_000_000)
    assert new.new("b.md", b"two").stamp > made * 1_000_000


def test_stamps_that_do_not_run_ahead_stay_as_they_are(world: World, backups: Backups) -> None:
    world.new("a.md", b"one")
    done = backups.make(world, now=time.time())
    assert done.ahead == {}
    assert backups.restore()[0].vault.clock == world.vault.clock


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
