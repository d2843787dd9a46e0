"""A proxy or a poor line on the way, and a server that refuses: one file at most is kept back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import pytest

from client.ports import Pushed, ServerAway, ServerRefused, SyncAnswer
from sync.model import Change, Json, Version
from tests.client.direct import Direct, Server
from tests.client.machines import MemoryMachine

Rule = Callable[[Sequence[Change], int], None]
MB = 1024 * 1024


class Way(Direct):
    """A way to the server on which `rule` may stop a push or put, by its changes and the bytes of its bodies."""

    def __init__(self, server: Server, device: str) -> None:
        super().__init__(server, device)
        self.rule: Rule = lambda changes, size: None
        self.asked: Callable[[Sequence[Version]], None] = lambda wanted: None
        self.rows: int | None = None  # changes that one exchange may report
        self.closed: Exception | None = None
        self.sizes: list[int] = []

    def vault(self) -> Json:
        if self.closed is not None:
            raise self.closed
        return super().vault()

    def sync(self, cursor: str, changes: Sequence[Change], last: bool, limit: int) -> SyncAnswer:
        if self.rows is not None and len(changes) > self.rows:
            raise proxys(413)
        return super().sync(cursor, changes, last, limit)

    def pull(self, wanted: Sequence[Version]) -> Iterator[tuple[Version, Iterator[bytes]]]:
        self.asked(wanted)
        return super().pull(wanted)

    def get(self, version: Version) -> Iterator[bytes]:
        self.asked([version])
        return super().get(version)

    def push(self, changes: Sequence[Change], bodies: dict[str, bytes], keep: bool) -> Pushed:
        size = sum(map(len, bodies.values()))
        self.sizes.append(size)
        self.rule(changes, size)
        return super().push(changes, bodies, keep)

    def put(self, change: Change, body: BinaryIO, keep: bool) -> Pushed:
        self.rule([change], change.size)
        return super().put(change, body, keep)


def proxys(status: int) -> ServerRefused:
    return ServerRefused(status, f"http-{status}", f"the proxy answered {status}")


def gobis(status: int, code: str) -> ServerRefused:
    return ServerRefused(status, code, f"gobi says {code}", {"code": code})


def limit(most: int, no: Callable[[], Exception]) -> Rule:
    def rule(changes: Sequence[Change], size: int) -> None:
        if size > most:
            raise no()

    return rule


def none_with(path: str, no: Callable[[], Exception]) -> Rule:
    def rule(changes: Sequence[Change], size: int) -> None:
        if any(change.path == path for change in changes):
            raise no()

    return rule


@pytest.fixture
def way(vault: Server) -> Way:
    return Way(vault, "laptop")


@pytest.fixture
def laptop(vault: Server, way: Way) -> Iterator[MemoryMachine]:
    machine = MemoryMachine(vault, "laptop")
    machine.transport = way
    yield machine
    machine.close()


def notes(machine: MemoryMachine, count: int, size: int) -> set[str]:
    paths = {f"note-{number:04}.md" for number in range(count)}
    for path in paths:
        machine.write(path, path.encode().ljust(size, b"."))
    return paths


def cut() -> ServerAway:
    return ServerAway("the connection was cut", on_the_way=True)


@pytest.mark.parametrize("no", [lambda: proxys(413), lambda: gobis(413, "too-large"), lambda: proxys(504), cut])
def test_a_bundle_that_is_too_large_for_the_way_is_sent_in_smaller_ones(
    vault: Server, way: Way, laptop: MemoryMachine, no: Callable[[], Exception]
) -> None:
    paths = notes(laptop, 600, 4_600)
    way.rule = limit(MB, no)
    report = laptop.sync()
    assert (report.in_step, report.exit_code) == (True, 0)
    assert vault.files().keys() == paths


def test_the_size_that_comes_through_is_remembered_for_the_rest(way: Way, laptop: MemoryMachine) -> None:
    notes(laptop, 2_400, 4_600)
    way.rule = limit(MB, lambda: proxys(413))
    laptop.sync()
    refused = [size for size in way.sizes if size > MB]
    assert 1 <= len(refused) <= 3


def test_only_the_file_that_is_too_large_for_the_way_is_refused(vault: Server, way: Way, laptop: MemoryMachine) -> None:
    paths = notes(laptop, 50, 4_600)
    laptop.write("picture.raw", b"." * (2 * MB))
    laptop.write("film.mp4", b"." * (9 * MB))
    way.rule = limit(MB, lambda: proxys(413))
    report = laptop.sync()
    assert vault.files().keys() == paths
    assert [path for path, _ in report.refused] == ["film.mp4", "picture.raw"]
    assert all("the proxy answered 413" in why for _, why in report.refused)
    assert report.exit_code == 1


@pytest.mark.parametrize("code", ["quota", "disk-full"])
def test_a_vault_without_room_for_one_file_takes_the_others(
    vault: Server, way: Way, laptop: MemoryMachine, code: str
) -> None:
    paths = notes(laptop, 20, 100)
    laptop.write("huge.bin", b"." * (2 * MB))
    way.rule = limit(MB, lambda: gobis(507, code))
    report = laptop.sync()
    assert vault.files().keys() == paths
    assert report.refused == [("huge.bin", f"gobi says {code}")]


def test_a_full_vault_is_not_asked_about_every_file(way: Way, laptop: MemoryMachine) -> None:
    notes(laptop, 500, 100)
    way.rule = limit(0, lambda: gobis(507, "quota"))
    report = laptop.sync()
    assert len(report.refused) == 500
    assert len(way.sizes) < 30


def test_a_full_vault_still_takes_deletions(vault: Server, way: Way, laptop: MemoryMachine) -> None:
    laptop.write("old.md", "old")
    laptop.sync()
    laptop.rm("old.md")
    laptop.write("new.md", "new")
    way.rule = limit(0, lambda: gobis(507, "quota"))
    report = laptop.sync()
    assert vault.files() == {}
    assert [path for path, _ in report.refused] == ["new.md"]


@pytest.mark.parametrize("no", [lambda: gobis(400, "bad-request"), lambda: proxys(403), lambda: proxys(400)])
def test_one_change_that_is_refused_for_itself_keeps_no_other_back(
    vault: Server, way: Way, laptop: MemoryMachine, no: Callable[[], Exception]
) -> None:
    """A firewall that dislikes a note's text; a server that cannot read one row."""
    paths = notes(laptop, 20, 100)
    way.rule = none_with("note-0007.md", no)
    report = laptop.sync()
    assert vault.files().keys() == paths - {"note-0007.md"}
    assert [path for path, _ in report.refused] == ["note-0007.md"]
    way.rule = lambda changes, size: None
    assert laptop.sync().in_step
    assert vault.files().keys() == paths


@pytest.mark.parametrize("no", [lambda: proxys(500), lambda: gobis(500, "internal"), cut])
def test_one_file_that_time_may_bring_through_is_tried_again_and_keeps_no_other_back(
    vault: Server, way: Way, laptop: MemoryMachine, no: Callable[[], Exception]
) -> None:
    paths = notes(laptop, 20, 100)
    laptop.write("film.mp4", b"." * (9 * MB))
    way.rule = none_with("film.mp4", no)
    report = laptop.sync()
    assert vault.files().keys() == paths
    assert [path for path, _ in report.waiting] == ["film.mp4"]
    assert report.exit_code == 69
    way.rule = lambda changes, size: None
    assert laptop.sync().in_step


def test_a_reply_that_never_comes_is_no_second_upload(vault: Server, way: Way, laptop: MemoryMachine) -> None:
    """A proxy that gives up after its minute answers for a server that has stored the file."""
    laptop.write("film.mp4", b"." * (9 * MB))
    puts = []

    def stored_but_not_told(method: str, when: str) -> None:
        if (method, when) == ("put", "after"):
            puts.append(method)
            raise ServerAway("the proxy answered 524", on_the_way=True)

    way.meddle = stored_but_not_told
    assert laptop.sync().exit_code == 69
    assert laptop.sync().in_step
    assert len(puts) == 1
    assert len(vault.history("film.mp4")) == 1


@pytest.mark.parametrize("closed", [proxys(403), proxys(500), ServerAway("out of reach"), gobis(401, "unauthorized")])
def test_what_everything_meets_is_not_blamed_on_the_files(
    way: Way, laptop: MemoryMachine, closed: ServerAway | ServerRefused
) -> None:
    notes(laptop, 20, 100)

    def close(changes: Sequence[Change], size: int) -> None:
        way.closed = closed
        raise closed if not isinstance(closed, ServerAway) else cut()

    way.rule = close
    with pytest.raises(type(closed)):
        laptop.sync()
    assert len(way.sizes) == 1


def test_a_proxy_that_refuses_every_file_is_not_sent_them_all(way: Way, laptop: MemoryMachine) -> None:
    notes(laptop, 500, 100)
    way.rule = limit(0, lambda: proxys(405))
    with pytest.raises(ServerRefused, match="405"):
        laptop.sync()
    assert len(way.sizes) < 50


def test_a_line_that_cuts_every_file_is_given_up_for_now(way: Way, laptop: MemoryMachine) -> None:
    notes(laptop, 500, 100)
    way.rule = limit(0, cut)
    with pytest.raises(ServerAway):
        laptop.sync()
    assert len(way.sizes) < 30


def test_a_report_of_changes_that_is_too_large_for_the_way_goes_in_parts(
    vault: Server, way: Way, laptop: MemoryMachine
) -> None:
    paths = notes(laptop, 300, 10)
    way.rows = 40
    assert laptop.sync().in_step
    assert vault.files().keys() == paths


# -- the way back


@pytest.mark.parametrize("no", [lambda: proxys(413), lambda: proxys(502), lambda: proxys(403), cut])
def test_what_cannot_be_fetched_at_once_is_fetched_in_parts(
    vault: Server, way: Way, laptop: MemoryMachine, no: Callable[[], Exception]
) -> None:
    for number in range(40):
        vault.put(f"{number}.md", b"note")

    def few(wanted: Sequence[Version]) -> None:
        if len(wanted) > 5:
            raise no()

    way.asked = few
    assert laptop.sync().in_step
    assert laptop.files().keys() == vault.files().keys()


@pytest.mark.parametrize(
    ("no", "code"), [(lambda: proxys(403), 1), (lambda: proxys(404), 1), (lambda: proxys(500), 69), (cut, 69)]
)
def test_one_file_that_does_not_come_through_keeps_no_other_back(
    vault: Server, way: Way, laptop: MemoryMachine, no: Callable[[], Exception], code: int
) -> None:
    for number in range(20):
        vault.put(f"{number}.md", b"note")
    vault.put("film.mp4", b"." * (9 * MB))

    def not_these(wanted: Sequence[Version]) -> None:
        if {one.path for one in wanted} & {"film.mp4", "7.md"}:
            raise no()

    way.asked = not_these
    report = laptop.sync()
    assert laptop.files().keys() == vault.files().keys() - {"film.mp4", "7.md"}
    assert report.exit_code == code
    way.asked = lambda wanted: None
    assert laptop.sync().in_step
    assert laptop.files().keys() == vault.files().keys()


def test_a_way_that_lets_nothing_come_is_not_blamed_on_the_files(
    vault: Server, way: Way, laptop: MemoryMachine
) -> None:
    for number in range(500):
        vault.put(f"{number}.md", b"note")
    asked = []

    def nothing(wanted: Sequence[Version]) -> None:
        asked.append(len(wanted))
        raise proxys(405)

    way.asked = nothing
    with pytest.raises(ServerRefused, match="405"):
        laptop.sync()
