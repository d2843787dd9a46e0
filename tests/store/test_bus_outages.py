"""The bus while Redis is away, hangs, or throws a process out: nobody waits for it, and nothing is missed unsaid."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from store.base import Gap, Message
from store.bus_redis import RedisBus
from store.errors import Unavailable
from tests.services import Redis, wait_until
from tests.store.channel import AT_ONCE_S, PATIENT, QUICK, Channel, notice, secret

# -- when Redis goes away


def test_a_restart_of_redis_is_a_gap_and_then_all_is_well(own_redis: Redis, channel: Channel) -> None:
    here, there = channel.start(own_redis), channel.start(own_redis)
    here.bus.publish(notice(1))
    there.wait_for(notice(1))
    own_redis.stop()
    own_redis.start()
    for process in (here, there):
        process.wait_for_gap(2)
    here.bus.publish(notice(2))
    there.wait_for(notice(2))


def test_after_an_outage_of_eight_seconds_the_bus_still_lives(own_redis: Redis, channel: Channel) -> None:
    """That long killed redis-py's own loop. With the waits that a server has."""
    here, there = channel.start(own_redis), channel.start(own_redis)
    own_redis.kill9()
    until = time.monotonic() + 8
    wait_until(lambda: time.monotonic() > until, "the eight seconds")
    own_redis.start()
    for process in (here, there):
        process.wait_for_gap(2)
    here.bus.publish(notice())
    there.wait_for(notice())


def test_while_redis_is_away_the_own_process_hears_everything(own_redis: Redis, channel: Channel) -> None:
    here = channel.start(own_redis, QUICK)
    own_redis.kill9()
    here.wait_until_ready(False)
    sent: list[Message] = [notice(after) for after in range(1, 2_001)]
    for message in sent:
        here.bus.publish(message)
    assert here.heard[1:] == sent
    own_redis.start()


def test_a_redis_that_hangs_holds_nobody_up(own_redis: Redis, channel: Channel) -> None:
    here = channel.start(own_redis)
    own_redis.pause()
    began = time.monotonic()
    for after in range(1, 2_001):
        here.bus.publish(notice(after))
        assert time.monotonic() - began < AT_ONCE_S
    assert len(here.heard) == 2_001
    own_redis.resume()


def test_a_redis_that_hangs_is_noticed_and_found_again(own_redis: Redis, channel: Channel) -> None:
    """Its connections stay open, and nothing ever comes."""
    here, there = channel.start(own_redis, QUICK), channel.start(own_redis, QUICK)
    own_redis.pause()
    wait_until(lambda: here.bus._reach.away and there.bus._reach.away, "both to notice")
    own_redis.resume()
    for process in (here, there):
        process.wait_for_gap(2)
        process.wait_until_ready()
    here.bus.publish(notice())
    there.wait_for(notice())


def test_a_process_that_starts_before_redis_finds_it_later(absent_redis: Redis, channel: Channel) -> None:
    here, there = channel.start(absent_redis, QUICK, wait=False), channel.start(absent_redis, QUICK, wait=False)
    here.bus.publish(notice(1))
    assert here.heard == [notice(1)]
    absent_redis.start()
    for process in (here, there):
        process.wait_for_gap()
        process.wait_until_ready()
    here.bus.publish(notice(2))
    there.wait_for(notice(2))


def test_who_is_thrown_out_subscribes_again(own_redis: Redis, channel: Channel) -> None:
    """As Redis does to a subscriber that is too slow."""
    here, there = channel.start(own_redis), channel.start(own_redis)
    assert own_redis.throw_subscribers_out() == 2
    for process in (here, there):
        process.wait_for_gap(2)
    here.bus.publish(notice())
    there.wait_for(notice())


def test_more_than_can_wait_is_one_gap_to_the_others(own_redis: Redis, channel: Channel) -> None:
    here, there = channel.start(own_redis, PATIENT, most_waiting=5), channel.start(own_redis, PATIENT)
    own_redis.pause()
    for after in range(1, 101):
        here.bus.publish(notice(after))
    own_redis.resume()
    there.wait_for_gap(2)
    here.bus.publish(notice(101))
    there.wait_for(notice(101))
    assert there.gaps == 2
    assert len(there.heard) < 10


def test_what_could_not_be_sent_is_one_gap_once_sending_works_again(own_redis: Redis, channel: Channel) -> None:
    """The others' subscriptions were never interrupted: nothing else would tell them."""
    with own_redis.client() as client:
        client.execute_command("ACL", "SETUSER", "mute", "on", ">secret", "&*", "~*", "+@all", "-publish")
        mute = channel.start(own_redis, QUICK, url=own_redis.url.replace("//", "//mute:secret@"))
        there = channel.start(own_redis, PATIENT)
        for after in range(1, 11):
            mute.bus.publish(notice(after))
        mute.wait_until_ready(False)
        assert there.heard == [Gap()]
        client.execute_command("ACL", "SETUSER", "mute", "+publish")
    there.wait_for_gap(2)
    mute.wait_until_ready()
    mute.bus.publish(notice(11))
    there.wait_for(notice(11))
    assert there.heard == [Gap(), Gap(), notice(11)]


# -- whether it is there


def test_ping_says_whether_others_can_be_told(own_redis: Redis, channel: Channel) -> None:
    here = channel.start(own_redis)
    here.bus.ping()
    own_redis.stop()
    with pytest.raises(Unavailable, match="Redis does not answer"):
        here.bus.ping()
    own_redis.start()
    here.wait_for_gap(2)
    here.bus.ping()


def test_ping_gives_a_redis_that_hangs_three_seconds_at_most(own_redis: Redis, channel: Channel) -> None:
    here = channel.start(own_redis)
    own_redis.pause()
    began = time.monotonic()
    with pytest.raises(Unavailable):
        here.bus.ping()
    assert time.monotonic() - began < 3


def test_ping_wants_a_subscription(redis_server: Redis) -> None:
    bus = RedisBus(redis_server.url, "gobi:nobody", secret)
    with pytest.raises(Unavailable):
        bus.ping()


class Doorman:
    """Listens on a port and hangs up on everybody. Counts them."""

    def __init__(self, port: int) -> None:
        self._door = socket.create_server(("127.0.0.1", port))
        self.callers = 0
        self._thread = threading.Thread(target=self._turn_away)
        self._thread.start()

    def _turn_away(self) -> None:
        while True:
            try:
                self._door.accept()[0].close()
            except OSError:
                return
            self.callers += 1

    def leave(self) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self._thread.join()


def test_an_outage_is_two_lines_in_the_log_however_many_tries_it_takes(
    absent_redis: Redis, channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gobi.bus")
    doorman = Doorman(absent_redis.port)
    here = channel.start(absent_redis, QUICK, wait=False)
    here.bus.publish(notice())
    wait_until(lambda: doorman.callers > 10, "ten tries")
    doorman.leave()
    absent_redis.start()
    wait_until(lambda: "Redis is back" in caplog.text, "the second line")
    first, second = [record.getMessage() for record in caplog.records]
    assert first.startswith("Redis is out of reach (")
    assert second == "Redis is back"


def test_whatever_happens_to_redis_what_is_not_heard_is_followed_by_a_gap(own_redis: Redis, channel: Channel) -> None:
    """The promise that all readers stand on, with somebody who publishes all the while."""
    here, there = channel.start(own_redis, QUICK), channel.start(own_redis, QUICK)
    published: dict[Message, float] = {}
    heard: dict[Message, float] = {}  # when last
    there.bus.subscribe(lambda message: heard.update({message: time.monotonic()}))
    enough = threading.Event()

    def publish() -> None:
        while not enough.wait(0.0005):
            message = notice(len(published))
            published[message] = time.monotonic()
            here.bus.publish(message)

    def missed() -> list[float]:
        return [at for message, at in published.items() if message not in heard]

    thread = threading.Thread(target=publish)
    thread.start()
    for ill_treat in (own_redis.kill9, own_redis.stop, own_redis.throw_subscribers_out, own_redis.pause) * 3:
        ill_treat()
        if own_redis.running:
            own_redis.resume()
        else:
            own_redis.start()
        there.wait_until_ready()
    enough.set()
    thread.join()
    assert missed(), "nothing was lost, so this has shown nothing"
    wait_until(lambda: max(missed()) < heard[Gap()], "a gap after the last that was missed")
