"""Passwords are checked by a short queue of their own, which those who need none of it pass by."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from handlers.passwords import MOST_CHECKS, Passwords, SlowDown
from handlers.throttle import PER_NETWORK, PER_USER_AND_NETWORK, Throttle
from store.base import Identity
from store.devices import Devices
from store.sqlite import SqliteMetadata
from store.users import Users
from tests.handlers.site import HASH, PASSWORD
from tests.services import wait_until

HOME, AWAY = "192.0.2.1", "203.0.113.9"


class Hashing:
    """Runs argon2 when the test lets it, and counts how often."""

    def __init__(self) -> None:
        self.count = 0
        self.allowed = threading.Event()
        self.allowed.set()
        self.before: Callable[[], None] = lambda: None

    def __call__(self, work: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
        self.count += 1
        assert self.allowed.wait(30)
        self.before()
        return work(*arguments, **options)


class Door:
    """People who sign in, each in a thread as they are in a greenlet of the server."""

    def __init__(self, folder: Path) -> None:
        self.metadata = SqliteMetadata(folder / "gobi.db")
        self.hashing = Hashing()
        self.users = Users(self.metadata, offload=self.hashing, clock=lambda: 1_000.0)
        self.throttle = Throttle(lambda: 1_000.0)
        self.passwords = Passwords(self.users, self.throttle)
        self.threads = ThreadPoolExecutor(600)
        self.metadata.add_user("me", HASH)
        self.users.authenticate("nobody", "x")  # makes ready what nobody's password is compared with
        self.hashing.count = 0

    def come(self, name: str, password: str = PASSWORD, address: str = HOME) -> Future[Identity | None]:
        return self.threads.submit(self.passwords.identify, name, password, address)

    def come_in_order(self, names: list[str], password: str = PASSWORD) -> list[Future[Identity | None]]:
        """One after the other into the queue, in which nobody is done yet."""
        found = []
        for number, name in enumerate(names, 1):
            found.append(self.come(name, password))
            wait_until(lambda number=number: len(self.passwords._checks) == number, "that check to wait")  # type: ignore[misc]
        return found

    def hold(self) -> None:
        self.hashing.allowed.clear()

    def go_on(self) -> None:
        self.hashing.allowed.set()

    def close(self) -> None:
        self.go_on()
        self.threads.shutdown()
        self.metadata.close()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    one = Door(tmp_path)
    yield one
    one.close()


def use_up(door: Door, user: str, address: str) -> None:
    while door.throttle.take(address, user) == 0:
        pass


def test_five_hundred_first_requests_of_one_machine_at_once_are_one_check(door: Door) -> None:
    door.hold()
    coming = [door.come("me") for _ in range(500)]
    wait_until(lambda: door.passwords._waiting == 500, "all of them to wait")
    door.go_on()
    assert {one.result() for one in coming} == {Identity("me", None, HASH)}
    assert door.hashing.count == 1


def test_five_hundred_first_requests_with_a_wrong_password_are_one_guess(door: Door) -> None:
    door.hold()
    coming = [door.come("me", "wrong") for _ in range(500)]
    wait_until(lambda: door.passwords._waiting == 500, "all of them to wait")
    door.go_on()
    assert {one.result() for one in coming} == {None}
    guesses = 0
    while door.throttle.take(HOME, "me") == 0:
        guesses += 1
    assert guesses == PER_USER_AND_NETWORK[0] - 1


def test_more_people_of_one_network_sign_in_at_once_than_may_guess_there(door: Door) -> None:
    names = [f"user{number}" for number in range(PER_NETWORK[0] + 10)]
    for name in names:
        door.metadata.add_user(name, HASH)
    door.hold()
    coming = door.come_in_order(names)
    door.go_on()
    assert [one.result() for one in coming] == [Identity(name, None, HASH) for name in names]


def test_guesses_made_at_once_do_not_slip_in_before_the_first_has_failed(door: Door) -> None:
    door.hold()
    coming = [door.come("me", f"guess {number}") for number in range(30)]
    wait_until(lambda: len(door.passwords._checks) == 30, "all of them to wait")
    door.go_on()
    answers = [one.exception() for one in coming]
    assert sum(isinstance(error, SlowDown) and error.guesses for error in answers) == 30 - PER_USER_AND_NETWORK[0]
    assert door.hashing.count == PER_USER_AND_NETWORK[0]


def test_beyond_a_short_queue_passwords_are_refused_at_once_and_taken_later(door: Door) -> None:
    door.hold()
    waiting = door.come_in_order([f"user{number}" for number in range(MOST_CHECKS)])
    refusal = door.come("me").exception()
    assert isinstance(refusal, SlowDown)
    assert refusal.headers["Retry-After"] == "2"
    assert not refusal.guesses
    door.go_on()
    for one in waiting:
        one.exception()
    assert door.come("me", address=AWAY).result() is not None


def test_a_device_is_let_in_at_its_first_request_whoever_guesses_and_however_many_wait(door: Door) -> None:
    password = Devices(door.metadata).add("me", "laptop")
    for number in range(20):
        use_up(door, "me", f"198.51.100.{number}")
    use_up(door, "me", HOME)
    while door.throttle.take(HOME, None) == 0:
        pass
    door.hold()
    door.threads.submit(door.users.authenticate, "somebody", "wrong")  # hashing is in use
    wait_until(lambda: door.hashing.count == 1, "it to begin")
    who = door.come("me", password).result(timeout=30)
    assert who is not None
    assert who.device == "laptop"


def test_guesses_elsewhere_do_not_keep_out_an_owner_whom_this_server_has_not_met(door: Door) -> None:
    for address in ("198.51.100.1", "198.51.100.2"):
        use_up(door, "me", address)
    assert door.come("me").result() is not None


def test_who_was_here_lately_waits_for_nobody(door: Door) -> None:
    assert door.come("me").result() is not None
    use_up(door, "me", HOME)
    door.hold()
    assert door.come("me").result(timeout=30) is not None


def test_what_fails_in_a_check_is_no_guess_and_the_next_one_is_made(door: Door) -> None:
    def broken() -> None:
        raise OSError("no memory")

    door.hashing.before = broken
    for _ in range(2 * PER_USER_AND_NETWORK[0]):
        assert isinstance(door.come("me").exception(), OSError)
    door.hashing.before = lambda: None
    assert door.come("me").result() is not None
