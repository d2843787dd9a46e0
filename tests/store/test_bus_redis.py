"""The bus over Redis: what one process commits the others hear of, and whoever may have missed something is told so."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis as Client

from store import bus_redis, bus_wire
from store.base import Gap, Message, Notice, PeopleChanged
from store.bus_redis import RedisBus
from store.bus_wire import MOST_CHANGES
from store.errors import Unavailable
from tests.services import Redis, wait_until
from tests.store.channel import AT_ONCE_S, QUICK, Channel, Process, notice, secret

# -- from process to process


@pytest.mark.parametrize("message", [notice(), PeopleChanged(), Gap()], ids=["notice", "people", "gap"])
def test_what_one_process_publishes_the_others_hear(redis_server: Redis, channel: Channel, message: Message) -> None:
    processes = [channel.start(redis_server) for _ in range(3)]
    before = [process.heard.count(message) for process in processes]
    processes[0].bus.publish(message)
    wait_until(lambda: all(p.heard.count(message) > b for p, b in zip(processes, before, strict=True)), str(message))


def test_a_process_hears_its_own_messages_at_once_and_once(redis_server: Redis, channel: Channel) -> None:
    here, there = channel.start(redis_server), channel.start(redis_server)
    here.bus.publish(notice(1))
    assert here.heard == [Gap(), notice(1)]
    there.wait_for(notice(1))
    there.bus.publish(notice(2))  # comes after whatever Redis sent back
    here.wait_for(notice(2))
    assert here.heard == [Gap(), notice(1), notice(2)]


def test_messages_arrive_in_the_order_one_process_sent_them(redis_server: Redis, channel: Channel) -> None:
    here, there = channel.start(redis_server), channel.start(redis_server)
    sent: list[Message] = [notice(after) for after in range(1, 301)]
    for message in sent:
        here.bus.publish(message)
    there.wait_for(sent[-1])
    assert there.heard == [Gap(), *sent]


def test_a_big_notice_is_whole_here_and_without_its_changes_elsewhere(redis_server: Redis, channel: Channel) -> None:
    here, there = channel.start(redis_server), channel.start(redis_server)
    big = notice(1, changes=MOST_CHANGES + 1)
    here.bus.publish(big)
    assert here.heard[-1] == big
    there.wait_for(Notice("v1", 1, big.cursor))


def test_another_channels_messages_are_not_heard(redis_server: Redis, channel: Channel) -> None:
    here, there = channel.start(redis_server), channel.start(redis_server)
    elsewhere = RedisBus(redis_server.url, "gobi:elsewhere", secret)
    elsewhere.publish(notice(1))
    assert elsewhere.close()
    there.bus.publish(notice(2))
    here.wait_for(notice(2))
    assert here.heard == [Gap(), notice(2)]


def test_a_process_has_one_subscription_however_many_readers(redis_server: Redis, channel: Channel) -> None:
    here = channel.start(redis_server)
    more: list[Message] = []
    for _ in range(5):
        here.bus.subscribe(more.append)
    there = channel.start(redis_server)
    there.bus.publish(notice())
    wait_until(lambda: more.count(notice()) == 5, "all readers")
    with redis_server.client() as client:
        assert client.pubsub_numsub(channel.name) == [(channel.name.encode(), 2)]


def test_who_has_ended_a_subscription_hears_nothing_more(redis_server: Redis, channel: Channel) -> None:
    here, there = channel.start(redis_server), channel.start(redis_server)
    heard: list[Message] = []
    end = here.bus.subscribe(heard.append)
    end()
    there.bus.publish(notice())
    here.wait_for(notice())
    assert heard == []


def test_a_bus_that_nobody_uses_connects_to_nothing(own_redis: Redis) -> None:
    with own_redis.client() as client:
        before = client.info("stats")["total_connections_received"]
        threads = threading.active_count()
        bus = RedisBus(own_redis.url, "gobi:unused", secret)
        assert bus.close()
        assert threading.active_count() == threads
        assert client.info("stats")["total_connections_received"] == before


# -- what must not stop it


@pytest.mark.parametrize("garbage", [b"", b"hello", b"\xff\xfe\x00", b"[" * 100_000, b'{"gobi": 1}'])
def test_garbage_on_the_channel_is_ignored(
    redis_server: Redis, channel: Channel, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = channel.start(redis_server), channel.start(redis_server)
    with redis_server.client() as client:
        assert client.publish(channel.name, garbage) == 2
    there.bus.publish(notice())
    here.wait_for(notice())
    assert here.heard == [Gap(), notice()]
    assert f"ignored what a stranger sent to the Redis channel {channel.name}" in caplog.text


def test_what_is_not_signed_or_was_heard_before_is_refused_and_counted(
    redis_server: Redis, channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    """Also what an older gobi says while hosts are upgraded: its changes are found by the sweep."""
    here, there = channel.start(redis_server), channel.start(redis_server)
    heard: list[bytes] = []
    with redis_server.client() as client, client.pubsub() as stranger:
        stranger.subscribe(channel.name)
        there.bus.publish(notice(1))
        here.wait_for(notice(1))
        while not heard:
            message = stranger.get_message(timeout=5)
            assert message is not None
            heard += [message["data"]] if message["type"] == "message" else []
        for said in (bus_wire.encode("an older gobi", PeopleChanged()), heard[0], heard[0].replace(b'"n":', b'"n":1')):
            client.publish(channel.name, said)
    there.bus.publish(notice(2))
    here.wait_for(notice(2))
    assert here.heard == [Gap(), notice(1), notice(2)]
    assert here.bus.refused == 3
    assert caplog.text.count("ignored what a stranger sent") == 2, "one line a process and minute"


def test_a_server_over_another_database_is_not_believed(redis_server: Redis, channel: Channel) -> None:
    here, there = channel.start(redis_server), channel.start(redis_server)
    elsewhere = RedisBus(redis_server.url, channel.name, lambda: b"another")
    elsewhere.publish(notice(1))
    assert elsewhere.close()
    there.bus.publish(notice(2))
    here.wait_for(notice(2))
    assert here.heard == [Gap(), notice(2)]
    assert here.bus.refused == 1


def test_a_database_that_is_away_at_first_only_delays_what_is_said(redis_server: Redis, channel: Channel) -> None:
    answers: list[bytes] = []

    def late() -> bytes:
        if not answers:
            raise Unavailable("the database is away")
        return answers[0]

    bus = RedisBus(redis_server.url, channel.name, late, QUICK)
    heard: list[Message] = []
    bus.subscribe(heard.append)
    with pytest.raises(Unavailable):
        bus.ping()
    answers.append(secret())
    wait_until(lambda: Gap() in heard, "it to subscribe")
    channel.start(redis_server).bus.publish(notice())
    wait_until(lambda: notice() in heard, "the notice")
    assert bus.close()


def test_a_reader_that_fails_keeps_nobody_from_hearing(
    redis_server: Redis, channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = channel.start(redis_server), channel.start(redis_server)

    def broken(message: Message) -> None:
        raise RuntimeError("broken")

    here.bus.subscribe(broken)
    after: list[Message] = []
    here.bus.subscribe(after.append)
    there.bus.publish(notice(1))
    there.bus.publish(notice(2))
    wait_until(lambda: after == [notice(1), notice(2)], "the reader behind the broken one")
    assert "a reader of notices failed" in caplog.text
    assert here.ready


def test_what_cannot_be_sent_is_a_gap_to_the_others(redis_server: Redis, channel: Channel) -> None:
    here, there = channel.start(redis_server), channel.start(redis_server)
    here.bus.publish(Notice("\udcff", 1, 2))
    there.wait_for_gap(2)


# -- the end


def test_what_was_published_before_the_end_is_still_sent(redis_server: Redis, channel: Channel) -> None:
    there = channel.start(redis_server)
    bus = RedisBus(redis_server.url, channel.name, secret)
    bus.publish(PeopleChanged())
    assert bus.close()
    assert bus.close()
    there.wait_for(PeopleChanged())


def test_what_cannot_be_sent_holds_up_the_end_for_two_seconds_and_is_admitted(
    own_redis: Redis, channel: Channel
) -> None:
    bus = RedisBus(own_redis.url, channel.name, secret)
    own_redis.pause()
    bus.publish(PeopleChanged())
    began = time.monotonic()
    assert not bus.close()
    assert time.monotonic() - began < bus_redis.CLOSE_S + AT_ONCE_S
    assert not bus.close()


@pytest.mark.parametrize("away", [False, True])
def test_after_the_end_nothing_is_left(own_redis: Redis, channel: Channel, away: bool) -> None:
    before = set(threading.enumerate())
    process = Process(own_redis.url, channel.name, QUICK)
    process.wait_for_gap()
    if away:
        own_redis.pause()
    process.bus.publish(notice())
    process.bus.close()
    wait_until(lambda: set(threading.enumerate()) <= before, "the threads to end")
    own_redis.resume()
    with own_redis.client() as client:
        wait_until(lambda: len(client.client_list()) == 1, "the connections to be closed")
    with pytest.raises(Unavailable):
        process.bus.ping()


def test_after_the_end_the_own_process_still_hears_itself(redis_server: Redis, channel: Channel) -> None:
    here = channel.start(redis_server)
    here.bus.close()
    here.bus.publish(notice())
    assert here.heard == [Gap(), notice()]


# -- addresses and passwords


class Locked(Redis):
    """One that wants a password, also at a socket in its folder."""

    PASSWORD = "open-sesame"

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "socket"
        super().__init__(folder, "--requirepass", self.PASSWORD, "--unixsocket", str(self.socket))

    def client(self) -> Any:
        return Client(port=self.port, password=self.PASSWORD, socket_timeout=20)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Locked]:
    one = Locked(tmp_path / "redis").start()
    yield one
    one.stop()


def test_a_password_and_a_unix_socket_are_used(locked: Locked, channel: Channel) -> None:
    over_tcp = channel.start(locked, url=f"redis://:{Locked.PASSWORD}@127.0.0.1:{locked.port}/3")
    over_unix = channel.start(locked, url=f"unix://:{Locked.PASSWORD}@{locked.socket}")
    over_tcp.bus.publish(notice())
    over_unix.wait_for(notice())


def test_a_wrong_password_is_told_without_it(
    locked: Locked, channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    here = channel.start(locked, url=f"redis://me:hunter2@127.0.0.1:{locked.port}/0", wait=False)
    wait_until(lambda: "Redis is out of reach" in caplog.text, "the log line")
    assert "hunter2" not in caplog.text
    with pytest.raises(Unavailable) as away:
        here.bus.ping()
    assert "hunter2" not in str(away.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://:hunter2@localhost",
        "redis://:hunter2@localhost:port",
        "redis://:hunter2@localhost/?db=x",
        "redis://:hunter2@localhost/?colour=blue",
        "rediss://:hunter2@localhost/?ssl_cert_reqs=perhaps",
        "hunter2",
    ],
)
def test_what_cannot_be_a_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError, match="Redis URL") as refused:
        RedisBus(url, "gobi:x", secret)
    assert "hunter2" not in str(refused.value)


def test_a_url_over_tls_is_one() -> None:
    RedisBus("rediss://:secret@redis.example:6380/0?ssl_cert_reqs=none", "gobi:x", secret)
