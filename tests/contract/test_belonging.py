"""A database and a folder of bodies know each other: without that an empty folder looks like a great loss, and an empty
database makes garbage of every body."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from store import belonging, bodies_mark
from store.bodies import DiskBodies
from store.errors import Misconfigured, StoreError
from tests.contract.backends import BACKENDS, Backend
from tests.store.world import World

BODY = b"the only copy"


class Server:
    """What a server has: a database, and a folder that is there or not."""

    def __init__(self, backend: Backend, root: Path) -> None:
        self.backend = backend
        self.root = root
        self.metadata = backend.open()

    def start(self) -> str:
        """What `gobi serve` does."""
        belonging.check(self.metadata, str(self.root))
        DiskBodies(self.root)
        return belonging.bind(self.metadata, str(self.root))

    def write(self) -> None:
        World(self.metadata, DiskBodies(self.root)).new("note.md", BODY)

    def refusal(self) -> str:
        """Why it does not start. Whoever only looks is told the same, and nothing is made."""
        before = sorted(self.root.rglob("*")) if self.root.exists() else None
        with pytest.raises(Misconfigured) as caught:
            self.start()
        with pytest.raises(Misconfigured):
            belonging.check(self.metadata, str(self.root))
        assert (sorted(self.root.rglob("*")) if self.root.exists() else None) == before
        return str(caught.value)


@pytest.fixture
def server(backend: Backend, tmp_path: Path) -> Server:
    return Server(backend, tmp_path / "bodies")


@pytest.fixture
def other(backend: Backend, tmp_path: Path, mongo_uri: Callable[[], str]) -> Iterator[Server]:
    """Another server with an empty database of the same kind, and another folder."""
    folder = tmp_path / "other"
    folder.mkdir()
    kind = next(name for name, make in BACKENDS.items() if isinstance(backend, make))  # type: ignore[arg-type]
    one = BACKENDS[kind](folder, mongo_uri)
    yield Server(one, folder / "bodies")
    one.close()


def test_a_new_server_and_its_folder_name_each_other(server: Server) -> None:
    identity = server.start()
    assert server.metadata.identity() == bodies_mark.read(str(server.root)) == identity
    server.write()
    assert server.start() == identity


def test_an_identity_is_given_once_unless_it_is_replaced(server: Server) -> None:
    assert server.metadata.identity() is None
    assert server.metadata.identify("a" * 32) == "a" * 32
    assert server.metadata.identify("b" * 32) == "a" * 32
    assert server.metadata.identify("b" * 32, replace=True) == "b" * 32
    assert server.backend.open().identity() == "b" * 32


@pytest.mark.parametrize("marked", [True, False])
def test_a_disk_that_is_not_mounted_is_not_taken_for_an_empty_one(server: Server, marked: bool) -> None:
    """Also on a deployment from before there were marks."""
    if marked:
        server.start()
    server.write()
    away = server.root.rename(server.root.with_name("away"))
    assert "mounted" in server.refusal()
    server.root.mkdir()
    (server.root / "tmp").mkdir()
    said = server.refusal()
    assert "GOBI_DATA_DIR" in said
    assert "gobi check --adopt" in said
    shutil.rmtree(server.root)
    away.rename(server.root)
    server.start()


def test_what_was_written_to_the_wrong_disk_before_does_not_make_it_the_right_one(server: Server) -> None:
    server.start()
    server.write()
    (server.root / bodies_mark.MARK).unlink()
    assert "lacks the mark" in server.refusal()


def test_a_deployment_from_before_marks_is_marked_where_bodies_and_versions_agree(server: Server) -> None:
    server.write()
    assert server.metadata.identity() is None
    identity = server.start()
    assert bodies_mark.read(str(server.root)) == identity


def test_bodies_over_an_empty_database_are_no_new_server(server: Server, other: Server) -> None:
    server.start()
    server.write()
    other.root = server.root
    assert "knows of no files" in other.refusal()
    (server.root / bodies_mark.MARK).unlink()  # as before there were marks
    assert "knows of no files" in other.refusal()


def test_the_folder_of_another_server_is_refused(server: Server, other: Server) -> None:
    for one in (server, other):
        one.start()
        one.write()
    other.root = server.root
    assert "another database" in other.refusal()
    server.start()


def test_it_can_be_accepted_on_purpose(server: Server) -> None:
    server.start()
    server.write()
    shutil.rmtree(server.root)
    server.refusal()
    DiskBodies(server.root)
    belonging.adopt(server.metadata, str(server.root))
    server.start()


def test_an_older_copy_of_the_database_still_has_its_bodies(server: Server) -> None:
    """From before it was marked: the vault is known by what lies there."""
    server.write()
    (server.root / bodies_mark.MARK).write_text(f"{'c' * 32}\n")
    assert server.start() == "c" * 32


def test_where_nothing_can_be_lost_nobody_is_bothered(server: Server, other: Server) -> None:
    """Somebody tries out this database and that folder, before there is anything in them."""
    server.start()
    other.start()
    other.root = server.root
    other.start()
    assert bodies_mark.read(str(server.root)) == other.metadata.identity()


def test_a_mark_that_is_torn_is_none(server: Server) -> None:
    server.start()
    server.write()
    (server.root / bodies_mark.MARK).write_bytes(b"")
    server.refusal()


def test_cut_off_while_it_marks_it_goes_on_at_the_next_start(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    server.write()
    with monkeypatch.context() as patched:
        patched.setattr(server.metadata, "identify", cut_off)
        with pytest.raises(KeyboardInterrupt):
            server.start()
    server.start()
    assert server.metadata.identity() == bodies_mark.read(str(server.root))


def test_several_hosts_that_start_at_once_agree(server: Server) -> None:
    import threading

    starting = threading.Barrier(4)
    hosts = [Server(server.backend, server.root) for _ in range(4)]
    said: list[str] = []

    def start(host: Server) -> None:
        starting.wait()
        said.append(host.start())

    threads = [threading.Thread(target=start, args=(host,)) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 4
    assert bodies_mark.read(str(server.root)) == server.metadata.identity()
    assert server.start() == server.metadata.identity()


def test_a_disk_that_fails_is_not_called_another_folder(server: Server) -> None:
    server.start()
    server.write()
    mark = server.root / bodies_mark.MARK
    mark.unlink()
    mark.mkdir()  # reading it is an error, and not "there is none"
    with pytest.raises(StoreError) as caught:
        server.start()
    assert not isinstance(caught.value, Misconfigured)
