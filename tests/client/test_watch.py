"""The client that watches, in this process: what it does about events that are lost, and servers that are strange."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from client.clock import SystemClock
from client.diary import Diary
from client.disk import Disk
from client.engine import Engine
from client.index import Index
from client.intervals import Intervals
from client.live import Live, Told, Woken
from client.ports import ServerAway, ServerRefused, StateTrouble, Stopped
from client.queue import FileQueue, Operation
from client.quiet import QUIET, Quiet
from client.tree import Tree
from client.watch import Watch
from client.witness import Witness
from tests.client.direct import Direct, Server
from tests.services import wait_until

OFTEN = Intervals(rescan=0.05, poll=0.05, retry=0.02, longest=0.05)
HARDLY = Intervals(rescan=3600, poll=3600, retry=0.02, longest=0.05)


class Ear(Live):
    """Hears nothing by itself."""

    def __init__(self) -> None:
        pass

    def start(self) -> None:
        pass

    def hurry(self) -> None:
        pass

    def stop(self) -> None:
        pass


class Client:
    """One that watches `root`, with no live socket."""

    def __init__(
        self, root: Path, vault: Server, intervals: Intervals, unwatched: str = "", quiet: float = QUIET
    ) -> None:
        self.root = root
        self.said: list[str] = []
        self.error: Exception | None = None
        self.transport: Direct = vault.transport("laptop")
        self.index = Index.open(root / ".gobi", repair=True, clock=SystemClock())
        self.disk = Disk(root, clock=SystemClock())
        self.tree = Tree(str(root), lambda folder: folder == unwatched)
        queue = FileQueue(root / ".gobi")
        engine = Engine(
            self.disk,
            self.transport,
            SystemClock(),
            self.index,
            queue,
            device="laptop",
            witness=Witness(),
            quiet=Quiet(time.monotonic, quiet),
        )
        diary = Diary(self.said.append, lambda: None, "here", "there")
        self.hear: Callable[[Told], None] = lambda letter: None
        self.watch = Watch(
            str(root),
            engine,
            self.index,
            FileQueue(root / ".gobi"),
            self.tree,
            diary,
            self.disk.ignored,
            SystemClock(),
            time.monotonic,
            intervals=intervals,
        )
        self.watch.listen_with(self._ear)

    def _ear(self, tell: Callable[[Told], None]) -> Live:
        """One that hears what the test says, with `hear`."""
        self.hear = tell
        return Ear()

    def run(self) -> None:
        try:
            self.watch.run()
        except (Stopped, ServerRefused) as error:
            self.error = error

    def has_said(self, text: str) -> Callable[[], bool]:
        return lambda: any(text in line for line in list(self.said))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "laptop"
    (root / ".gobi").mkdir(parents=True)
    return root


def written_down(root: Path) -> set[str]:
    return {one.path for one in FileQueue(root / ".gobi").load()[0]}


@contextmanager
def watching(client: Client) -> Iterator[Client]:
    thread = Thread(target=client.run)
    thread.start()
    try:
        yield client
    finally:
        client.watch.stop()
        thread.join(20)
        client.tree.close()
        client.disk.close()
        client.index.close()


def test_without_a_live_socket_the_server_is_asked_now_and_then(root: Path, vault: Server) -> None:
    with watching(Client(root, vault, OFTEN._replace(rescan=3600))) as client:
        wait_until(client.has_said("watching"), "the first sync")
        vault.put("theirs.md", b"theirs")
        wait_until(lambda: (root / "theirs.md").exists(), "the file")


def test_a_file_of_which_no_event_came_is_found_later(root: Path, vault: Server) -> None:
    (root / "far").mkdir()
    with watching(Client(root, vault, OFTEN._replace(poll=3600), unwatched="far")) as client:
        wait_until(client.has_said("watching"), "the first sync")
        (root / "far" / "a.md").write_text("a")
        wait_until(lambda: "far/a.md" in vault.files(), "the file")
        (root / "far" / "a.md").unlink()
        wait_until(lambda: "far/a.md" not in vault.files(), "the delete")


def test_a_queue_of_events_that_ran_over_is_made_up_for_at_once(root: Path, vault: Server) -> None:
    (root / "far").mkdir()
    with watching(Client(root, vault, HARDLY, unwatched="far")) as client:
        wait_until(client.has_said("watching"), "the first sync")
        (root / "far" / "a.md").write_text("a")
        client.tree.lost = True
        (root / "b.md").write_text("b")
        wait_until(lambda: set(vault.files()) == {"far/a.md", "b.md"}, "both files")


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (ServerAway("out of reach"), "offline"),
        (ServerRefused(500, "internal", "a fault"), "offline"),
        (ServerRefused(404, "not-found", "no such vault"), "waiting: the vault is not there"),
        (OSError(errno.EIO, "Input/output error"), "waiting: the disk fails"),
    ],
)
def test_what_time_may_mend_is_waited_for(root: Path, vault: Server, trouble: Exception, said: str) -> None:
    with watching(Client(root, vault, HARDLY)) as client:
        wait_until(client.has_said("watching"), "the first sync")

        def fail(method: str, when: str) -> None:
            raise trouble

        client.transport.meddle = fail
        (root / "a.md").write_text("a")
        wait_until(client.has_said(said), "the trouble to be noticed")
        client.transport.meddle = lambda method, when: None
        wait_until(client.has_said("back: "), "the trouble to be over")
        assert vault.files() == {"a.md": b"a"}
        assert sum(said in line for line in client.said) == 1


@pytest.mark.parametrize("refusal", [(401, "unauthorized"), (403, "forbidden")])
def test_a_password_that_is_not_accepted_any_more_is_not_waited_for(
    root: Path, vault: Server, refusal: tuple[int, str]
) -> None:
    with watching(Client(root, vault, HARDLY)) as client:
        wait_until(client.has_said("watching"), "the first sync")

        def refuse(method: str, when: str) -> None:
            if method != "push":
                raise ServerRefused(*refusal, "no")

        client.transport.meddle = refuse
        client.hear(Woken())
        wait_until(lambda: client.error is not None, "it to stop")


class Narrow(FileQueue):
    """On a disk that fails."""

    trouble: int | None = None

    def append(self, operations: Sequence[Operation]) -> None:
        if self.trouble is not None and operations:
            raise StateTrouble(os.strerror(self.trouble))
        super().append(operations)


@pytest.mark.parametrize("trouble", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_delete_that_the_disk_has_no_room_for_is_remembered_until_it_has(
    root: Path, vault: Server, trouble: int
) -> None:
    client = Client(root, vault, HARDLY)
    queue = Narrow(root / ".gobi")
    client.watch._queue = queue
    with watching(client):
        (root / "a.md").write_text("a")
        wait_until(lambda: "a.md" in vault.files() and not client.watch.busy, "the file")
        queue.trouble = trouble
        (root / "a.md").unlink()
        (root / "b.md").write_text("b")
        wait_until(client.has_said(f"waiting: {os.strerror(trouble)}"), "it to say so")
        assert "a.md" in vault.files()
        queue.trouble = None
        wait_until(lambda: set(vault.files()) == {"b.md"}, "both")
        wait_until(client.has_said("back: the disk"), "it to say that all is well")
    assert sum("waiting" in line for line in client.said) == 1


def test_what_vanished_before_it_began_comes_back(root: Path, vault: Server) -> None:
    with watching(Client(root, vault, HARDLY)) as client:
        (root / "a.md").write_text("a")
        wait_until(lambda: "a.md" in vault.files(), "the file")
    (root / "a.md").unlink()
    with watching(Client(root, vault, HARDLY)) as client:
        wait_until(client.has_said("watching"), "the first sync")
        assert (root / "a.md").read_text() == "a"


def test_what_is_deleted_while_a_sync_is_under_way_is_written_down_at_once(root: Path, vault: Server) -> None:
    with watching(Client(root, vault, HARDLY)) as client:
        (root / "a.md").write_text("a")
        wait_until(lambda: "a.md" in vault.files() and not client.watch.busy, "the file")

        def wait_for_the_delete(method: str, when: str) -> None:
            if (method, when) == ("push", "before"):
                client.transport.meddle = lambda method, when: None
                (root / "a.md").unlink()
                wait_until(lambda: "a.md" in written_down(root), "the line")

        client.transport.meddle = wait_for_the_delete
        (root / "b.md").write_text("b")
        wait_until(lambda: vault.files() == {"b.md": b"b"}, "both")


def test_what_others_deleted_is_not_taken_for_a_delete_of_ones_own(root: Path, vault: Server) -> None:
    with watching(Client(root, vault, OFTEN._replace(rescan=3600))) as client:
        (root / "a.md").write_text("a")
        wait_until(lambda: "a.md" in vault.files(), "the file")
        vault.delete("a.md")
        wait_until(lambda: not (root / "a.md").exists(), "the delete")
        vault.put("a.md", b"made anew")
        wait_until(lambda: (root / "a.md").exists(), "the file to come again")
        wait_until(client.has_said("received a.md"), "it to say so")
    assert vault.history("a.md") == [b"made anew", None, b"a"]


def test_what_vanished_while_it_was_ignored_comes_back(root: Path, vault: Server) -> None:
    with watching(Client(root, vault, OFTEN)):
        (root / "old").mkdir()
        (root / "old" / "a.md").write_text("a")
        wait_until(lambda: "old/a.md" in vault.files(), "the file")
        (root / ".gobiignore").write_text("old/\n")
        wait_until(lambda: vault.files().get(".gobiignore") == b"old/\n", "the patterns")
        (root / "old" / "a.md").unlink()
        (root / ".gobiignore").write_text("*.tmp\n")
        wait_until(lambda: (root / "old" / "a.md").exists(), "the file to come back")
    assert vault.history("old/a.md") == [b"a"]


@pytest.fixture
def careful(root: Path) -> Path:
    """A folder with a file that is left out."""
    (root / "secrets").mkdir()
    (root / "secrets" / "key").write_text("top secret")
    (root / "note.md").write_text("note")
    (root / ".gobiignore").write_text("secrets/\n")
    return root


@pytest.mark.parametrize("text", [None, ""])
def test_a_list_that_stays_away_or_empty_is_let_go_of_without_another_word(
    careful: Path, vault: Server, text: str | None
) -> None:
    rules = careful / ".gobiignore"
    with watching(Client(careful, vault, HARDLY, quiet=0.2)):
        wait_until(lambda: len(vault.files()) == 2, "the list and the note")
        rules.unlink() if text is None else rules.write_text(text)
        wait_until(lambda: "secrets/key" in vault.files(), "what it left out")
    assert vault.files().get(".gobiignore") == (None if text is None else text.encode())


@pytest.mark.parametrize("text", [None, ""])
def test_all_else_goes_on_while_a_list_is_away_or_empty(careful: Path, vault: Server, text: str | None) -> None:
    rules = careful / ".gobiignore"
    with watching(Client(careful, vault, HARDLY, quiet=3600)) as client:
        wait_until(lambda: len(vault.files()) == 2, "the list and the note")
        rules.unlink() if text is None else rules.write_text(text)
        wait_until(lambda: client.watch._engine.quiet.left is not None, "a look at the list")  # type: ignore[union-attr]
        (careful / "new.md").write_text("new")
        (careful / "note.md").unlink()
        wait_until(lambda: vault.files().keys() == {".gobiignore", "new.md"}, "the new file and the delete")
        rules.write_text("secrets/\n*.tmp\n")
        wait_until(lambda: vault.files()[".gobiignore"] == b"secrets/\n*.tmp\n", "the list")
    assert vault.files().keys() == {".gobiignore", "new.md"}
    assert vault.history(".gobiignore") == [b"secrets/\n*.tmp\n", b"secrets/\n"]


@pytest.mark.parametrize("name", ["a.sh", "sub/a.sh"])
def test_a_file_that_becomes_one_that_may_be_run_is_sent_as_that(root: Path, vault: Server, name: str) -> None:
    def newest() -> bool:
        return vault.reader.history(vault.vault, name, None, 1)[0][0].executable

    with watching(Client(root, vault, HARDLY)) as client:
        (root / "sub").mkdir()
        (root / name).write_text("#!/bin/sh")
        wait_until(lambda: name in vault.files() and not client.watch.busy, "the file")
        (root / name).chmod(0o755)
        wait_until(lambda: newest() and not client.watch.busy, "it to be one that may be run")
        (root / name).chmod(0o644)
        wait_until(lambda: not newest() and not client.watch.busy, "it to be one no longer")
    assert vault.history(name) == [b"#!/bin/sh"] * 3


def test_of_all_else_that_happens_to_a_files_attributes_nothing_follows(root: Path, vault: Server) -> None:
    with watching(Client(root, vault, HARDLY)) as client:
        (root / "a.md").write_text("a")
        wait_until(lambda: "a.md" in vault.files() and not client.watch.busy, "the file")
        (root / "a.md").chmod(0o600)
        os.utime(root / "a.md", (1, 1))
        (root / "b.md").write_text("b")
        wait_until(lambda: "b.md" in vault.files() and not client.watch.busy, "another file")
        assert client.index.records["a.md"].mtime_ns != 1_000_000_000, "nobody has looked at it"


def test_what_is_ignored_first_and_removed_then_is_not_deleted_elsewhere(root: Path, vault: Server) -> None:
    with watching(Client(root, vault, HARDLY)) as client:
        (root / "a.md").write_text("a")
        (root / "b.md").write_text("b")
        wait_until(lambda: len(vault.files()) == 2 and not client.watch.busy, "the files")
        (root / ".gobiignore").write_text("a.md\n")
        (root / "a.md").unlink()
        (root / "b.md").unlink()
        wait_until(lambda: "b.md" not in vault.files(), "the delete of what is not ignored")
    assert vault.history("a.md") == [b"a"]
    assert written_down(root) == set()


def test_a_replaced_file_that_a_program_has_open_is_looked_at_again_until_that_ends(root: Path, vault: Server) -> None:
    with watching(Client(root, vault, HARDLY._replace(again=0.05))) as client:
        (root / "log").write_text("line 1")
        wait_until(lambda: "log" in vault.files() and not client.watch.busy, "the file")
        with (root / "log").open("a") as program:
            vault.put("log", b"from elsewhere")
            client.hear(Woken())
            wait_until(client.has_said("log was replaced"), "the other version")
            program.write(", line 2")
        wait_until(client.has_said(".gobi/trash/"), "it to say where the rest is")
    assert [path.read_text() for path in root.glob(".gobi/trash/*/log")] == ["line 1, line 2"]


@pytest.mark.parametrize("closed", [True, False])
def test_what_is_written_through_one_name_of_a_file_is_seen_under_all(root: Path, vault: Server, closed: bool) -> None:
    (root / "x").mkdir()
    (root / "y").mkdir()
    with watching(Client(root, vault, HARDLY)) as client:
        (root / "x" / "f").write_text("one")
        (root / "y" / "f").hardlink_to(root / "x" / "f")
        wait_until(lambda: len(vault.files()) == 2 and not client.watch.busy, "both names")
        with (root / "x" / "f").open("a") as file:
            file.write(" two")
            file.flush()
            if closed:
                file.close()
            wait_until(lambda: vault.files() == {"x/f": b"one two", "y/f": b"one two"}, "the edit under both names")
