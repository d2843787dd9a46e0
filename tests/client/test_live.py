"""Hearing what others do, over a socket that is cut off, refused, silent or strange. On real sockets."""

from __future__ import annotations

import http
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from queue import SimpleQueue

import pytest
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from client.connection import Connection
from client.foresee import Heard
from client.http import HttpTransport
from client.live import Live, Lost, Opened, Told, Waits, Woken

QUICK = Waits(first=0.01, longest=0.02, silence=20)
VERSION = {"path": "a.md", "kind": "put", "stamp": 7, "base": None, "hash": "ab" * 32, "size": 2, "mtime": 1}

Scene = Callable[[ServerConnection], None]


class Stage:
    """A server on which one scene is played for each client that comes, the last one again and again."""

    def __init__(self, *scenes: Scene) -> None:
        self._scenes = list(scenes)
        self.requests: list[Request] = []
        self.refuse: http.HTTPStatus | None = None

    def play(self, connection: ServerConnection) -> None:
        scene = self._scenes.pop(0) if len(self._scenes) > 1 else self._scenes[0]
        scene(connection)

    def judge(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        return connection.respond(self.refuse, "no\n") if self.refuse else None


class Ear:
    """A client's live socket, and what it has heard."""

    def __init__(self, url: str, waits: Waits) -> None:
        self.cursor = "start"
        self._told: SimpleQueue[Told] = SimpleQueue()
        transport = HttpTransport(Connection(url, "me", "secret", "laptop"), "notes")
        self.live = Live(lambda: transport.live(self.cursor), self._told.put, waits)

    def next(self) -> Told:
        return self._told.get(timeout=20)


@contextmanager
def listening(stage: Stage, waits: Waits = QUICK) -> Iterator[Ear]:
    with serve(stage.play, "127.0.0.1", 0, process_request=stage.judge) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        ear = Ear(f"http://127.0.0.1:{server.socket.getsockname()[1]}", waits)
        ear.live.start()
        try:
            yield ear
        finally:
            ear.live.stop()
            server.shutdown()
            thread.join()


def say(*rows: Mapping[str, object]) -> Scene:
    """Says all that, and waits for the client to go."""

    def scene(connection: ServerConnection) -> None:
        for row in rows:
            connection.send(json.dumps(row))
        for _ in connection:
            pass

    return scene


def leave(code: int) -> Scene:
    return lambda connection: connection.close(code)


HELLO: dict[str, object] = {"type": "hello", "cursor": "c7"}


def test_it_says_who_it_is_and_where_it_stands() -> None:
    stage = Stage(say(HELLO))
    with listening(stage) as ear:
        assert ear.next() == Opened("c7")
    (request,) = stage.requests
    assert request.path == "/v1/vaults/notes/live?cursor=start"
    assert request.headers["Authorization"].startswith("Basic ")
    assert request.headers["Gobi-Device"] == "laptop"


def test_what_is_told_is_heard() -> None:
    changes = {"type": "changes", "after": "c6", "cursor": "c7", "changes": [VERSION]}
    settled = {"type": "conflict", "conflict": {"path": "b.md", "state": "settled"}}
    with listening(Stage(say(HELLO, changes, {"type": "wake", "cursor": "c9"}, settled))) as ear:
        assert ear.next() == Opened("c7")
        heard = ear.next()
        assert isinstance(heard, Heard)
        assert (heard.after, heard.cursor, heard.stamp) == ("c6", "c7", 7)
        assert ear.next() == Woken()
        assert ear.next() == Woken("b.md")


def test_what_is_not_understood_is_left_out() -> None:
    opened = {"type": "conflict", "conflict": {"path": "b.md", "state": "open"}}
    with listening(Stage(say({"type": "weather"}, opened, HELLO))) as ear:
        assert ear.next() == Opened("c7")


def test_a_message_in_pieces_is_one() -> None:
    def scene(connection: ServerConnection) -> None:
        text = json.dumps(HELLO)
        connection.send([text[:5], text[5:9], text[9:]])
        say()(connection)

    with listening(Stage(scene)) as ear:
        assert ear.next() == Opened("c7")


def test_it_answers_pings() -> None:
    def scene(connection: ServerConnection) -> None:
        assert connection.ping().wait(20)
        say(HELLO)(connection)

    with listening(Stage(scene)) as ear:
        assert ear.next() == Opened("c7")


def test_it_comes_back_from_where_it_stands_then() -> None:
    stage = Stage(leave(1001), leave(1001), say(HELLO))
    with listening(stage) as ear:
        assert isinstance(ear.next(), Lost)
        ear.cursor = "c8"
        while not isinstance(ear.next(), Opened):
            pass
    assert stage.requests[-1].path == "/v1/vaults/notes/live?cursor=c8"


def test_a_client_that_is_no_longer_allowed_has_its_doubts() -> None:
    with listening(Stage(leave(1008))) as ear:
        lost = ear.next()
        assert isinstance(lost, Lost)
        assert lost.doubtful


@pytest.mark.parametrize(
    ("status", "absent", "doubtful"),
    [(404, True, False), (426, True, False), (401, False, True), (403, False, True), (503, False, False)],
)
def test_a_refusal_is_told_for_what_it_is(status: int, absent: bool, doubtful: bool) -> None:
    stage = Stage(say(HELLO))
    stage.refuse = http.HTTPStatus(status)
    with listening(stage) as ear:
        assert ear.next() == Lost(f"the server answered {status}", absent, doubtful)


def test_where_there_is_no_live_socket_it_looks_again_only_now_and_then() -> None:
    stage = Stage(say(HELLO))
    stage.refuse = http.HTTPStatus.NOT_FOUND
    with listening(stage, Waits(first=0.01, longest=3600)) as ear:
        assert isinstance(ear.next(), Lost)
        stage.refuse = None
        ear.live.hurry()
        assert ear.next() == Opened("c7")
    assert len(stage.requests) == 2


def test_a_server_that_is_silent_is_given_up() -> None:
    with listening(Stage(say(HELLO)), Waits(first=0.01, silence=0.1)) as ear:
        assert ear.next() == Opened("c7")
        assert ear.next() == Lost("the server is silent")
        assert ear.next() == Opened("c7")


@pytest.mark.parametrize("nonsense", ["no json", '{"type": "changes"}', "[]"])
def test_nonsense_is_survived(nonsense: str) -> None:
    def scene(connection: ServerConnection) -> None:
        connection.send(nonsense)
        say()(connection)

    with listening(Stage(scene, say(HELLO))) as ear:
        assert isinstance(ear.next(), Lost)
        assert ear.next() == Opened("c7")


def test_no_server_at_all_is_tried_again() -> None:
    with listening(Stage(say(HELLO))) as gone:
        place = gone.live._place
    told: SimpleQueue[Told] = SimpleQueue()
    live = Live(place, told.put, QUICK)
    live.start()
    assert isinstance(told.get(timeout=20), Lost)
    assert isinstance(told.get(timeout=20), Lost)
    live.stop()
