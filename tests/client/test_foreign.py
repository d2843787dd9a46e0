"""Another program works in the folder at any moment of what gobi does there: what it puts there is its own.

Every call that the file system makes of the operating system is a moment. For each of them in turn a foreign program
acts right before it; and for each of them gobi is killed right after that.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from client import syscalls
from client.disk import Disk
from client.ports import Blocked, Entry, LocalChange
from tests.client.direct import Server
from tests.client.machines import DiskMachine
from tests.client.memory import ManualClock

OURS, OLD, FOREIGN = b"from the server", b"what was there", b"somebody's own work"
LONG_AGO = 1_500_000_000

_CALLS = [(os, name) for name in ("stat", "lstat", "open", "link", "rename", "unlink", "mkdir", "rmdir", "listdir")]
_CALLS += [(os, name) for name in ("chmod", "chown", "utime", "fsync", "scandir")]
_CALLS += [(syscalls, "renameat2"), (fcntl, "fcntl")]


@contextmanager
def seam(acts: dict[int, Callable[[], None]]) -> Iterator[list[str]]:
    """Each of `acts` happens right before the call of that number. The calls that were made."""
    made: list[str] = []
    acting: list[bool] = []

    def wrapped(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            if not acting:
                act = acts.get(len(made))
                made.append(name)
                if act is not None:
                    acting.append(True)
                    act()
                    acting.clear()
            return real(*arguments, **named)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for module, name in _CALLS:
            patch.setattr(module, name, wrapped(name, getattr(module, name)))
        yield made


class World:
    """A folder with one file in it, and a foreign program with a file of its own, which it wrote long ago."""

    def __init__(self, root: Path, *, there: bool) -> None:
        self.root = root
        (root / ".gobi").mkdir(parents=True)
        self.foreign = root.with_name(f"{root.name}-foreign")
        self.foreign.write_bytes(FOREIGN)
        os.utime(self.foreign, (LONG_AGO, LONG_AGO))
        (root / "sub").mkdir()
        (root / "sub/beside").write_bytes(b"beside")
        self.path = root / "sub/a.md"
        if there:
            self.path.write_bytes(OLD)
        self.disk = Disk(root, clock=ManualClock())

    def everywhere(self) -> list[bytes]:
        """In the folder and in the trash, but not in what gobi may throw away."""
        files = [path for path in self.root.rglob("*") if path.is_file()]
        kept = [path for path in files if path.relative_to(self.root).parts[:2] not in ((".gobi", "tmp"), STAGED)]
        return [path.read_bytes() for path in kept]


STAGED = (".gobi", "incoming")


def move_over(world: World, name: str) -> None:
    """mv, cp -p to another name and mv, unzip, git checkout: a whole file with an old date takes the name."""
    if world.foreign.exists():
        os.rename(world.foreign, world.root / name)


def save_in_place(world: World, name: str) -> None:
    """An editor that writes into the file that is there; one that is not there it makes."""
    (world.root / name).write_bytes(FOREIGN)


FOREIGN_ACTS = {"moves a file over it": move_over, "saves it in place": save_in_place}

Operation = Callable[[Disk], Entry | None]


def install_new(disk: Disk) -> Entry:
    handle = disk.stage([OURS])
    disk.flush()
    return disk.install(handle, "sub/a.md", 1_700_000_000_000_000, None, False)


def _there(disk: Disk) -> Entry:
    entry = disk.stat("sub/a.md")
    if entry is None or disk.digest("sub/a.md")[0].size != len(OLD):
        raise LocalChange("the foreign program came first")
    return entry


def _replace(disk: Disk, *, trash: bool) -> Entry:
    handle = disk.stage([OURS])
    disk.flush()
    return disk.install(handle, "sub/a.md", 1_700_000_000_000_000, _there(disk), trash)


def replace_known(disk: Disk) -> Entry:
    return _replace(disk, trash=False)


def replace_only_copy(disk: Disk) -> Entry:
    return _replace(disk, trash=True)


def remove_known(disk: Disk) -> None:
    disk.remove("sub/a.md", _there(disk), trash=False)


def remove_only_copy(disk: Disk) -> None:
    disk.remove("sub/a.md", _there(disk), trash=True)


def rename(disk: Disk) -> Entry:
    return disk.rename("sub/a.md", "sub/b.md", _there(disk))


OPERATIONS: list[Operation] = [
    install_new,
    replace_known,
    replace_only_copy,
    remove_known,
    remove_only_copy,
    rename,
]


def _is_unchanged(entry: Entry, path: Path, content: bytes) -> bool:
    """Whether a scan would take the file for the one of this entry, although it has another content."""
    if not path.is_file() or path.read_bytes() == content:
        return False
    status = path.stat()
    shown = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    return shown == tuple(entry[1:])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No power goes here."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(params=["exchange", "two steps"])
def exchanging(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without a file system that can exchange two names."""
    if request.param == "two steps":
        monkeypatch.setattr("client.moves.try_exchange", lambda *_: False)


@pytest.mark.usefixtures("exchanging")
@pytest.mark.parametrize("act", FOREIGN_ACTS.values(), ids=FOREIGN_ACTS.keys())
@pytest.mark.parametrize(
    ("operation", "target"),
    [*((operation, "sub/a.md") for operation in OPERATIONS), (rename, "sub/b.md")],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_what_another_program_puts_there_at_any_moment_is_kept_and_shows_as_an_edit(
    tmp_path: Path, operation: Operation, act: Callable[[World, str], None], target: str
) -> None:
    for moment in count():
        world = World(tmp_path / str(moment), there=operation is not install_new)
        entry = None
        with world.disk as disk, seam({moment: partial(act, world, target)}) as made, suppress(LocalChange, Blocked):
            entry = operation(disk)
        if len(made) <= moment:
            return  # it was over before
        with Disk(world.root, clock=ManualClock()) as disk:
            disk.sweep()
            disk.release()
        assert FOREIGN in world.everywhere(), f"lost at {made[moment]}, {made}"
        if entry is not None:
            content = OLD if operation is rename else OURS
            assert not _is_unchanged(entry, world.root / entry.path, content), f"taken for ours at {made}"


@pytest.mark.usefixtures("exchanging")
@pytest.mark.parametrize("act", FOREIGN_ACTS.values(), ids=FOREIGN_ACTS.keys())
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.__name__)
def test_what_is_saved_in_the_moment_in_which_gobi_is_killed_is_kept(
    tmp_path: Path, operation: Operation, act: Callable[[World, str], None]
) -> None:
    """The foreign program acts before one call, and gobi ends right then or a call later."""
    for moment in count():
        for later in range(2):
            world = World(tmp_path / f"{moment}-{later}", there=operation is not install_new)
            pid = os.fork()
            if pid == 0:
                _work_and_die(world, operation, act, moment, later)
            status = os.waitpid(pid, 0)[1]
            if os.WIFEXITED(status):
                assert os.WEXITSTATUS(status) == 0
                if later == 0:
                    return  # it was over before
                continue
            with Disk(world.root, clock=ManualClock()) as disk:
                disk.sweep()
                notes, held = disk.release()
            assert FOREIGN in world.everywhere(), f"lost at call {moment}, killed {later} calls later"
            assert not held
            assert notes or FOREIGN in [path.read_bytes() for path in (world.root / "sub").iterdir()], "not said"


def _work_and_die(
    world: World, operation: Operation, act: Callable[[World, str], None], moment: int, later: int
) -> None:
    die = partial(os.kill, os.getpid(), signal.SIGKILL)

    def act_and_die() -> None:
        act(world, "sub/a.md")
        if later == 0:
            die()

    code = 1
    try:
        with seam({moment + later: die} | {moment: act_and_die}), suppress(LocalChange, Blocked):
            operation(world.disk)
        code = 0
    finally:
        os._exit(code)


def test_a_file_that_is_moved_over_a_received_one_is_sent_and_never_overwritten(
    vault: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next version from elsewhere finds an edit, not the file that gobi has received."""
    laptop, desktop = (DiskMachine(vault, name, tmp_path / name) for name in ("laptop", "desktop"))
    desktop.write("a.md", "from elsewhere")
    desktop.sync()
    foreign = tmp_path / "foreign"
    foreign.write_bytes(FOREIGN)
    os.utime(foreign, (LONG_AGO, LONG_AGO))
    real = syscalls.renameat2

    def renameat2(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]
        if arguments[3] == "a.md" and foreign.exists():
            foreign.rename(laptop.root / "a.md")

    monkeypatch.setattr(syscalls, "renameat2", renameat2)
    laptop.sync()
    laptop.sync()
    assert vault.files() == {"a.md": FOREIGN}
    desktop.sync()
    assert desktop.files() == {"a.md": FOREIGN}
    for machine in (laptop, desktop):
        machine.close()
