"""Whose password it is, by a short queue: argon2 takes a core and 19 MiB for a while.

What takes no argon2 waits for nothing and is never slowed down: a device's own password, which cannot be guessed, and
one that was verified lately. Of the others, those who bring the same user and password at once are answered by one
check, so that hundreds of requests of one machine are one attempt. A token is taken when a check begins, not when it is
asked for: attempts that wait behind each other and are right cost nothing, however many they are, and guesses that are
made at once cannot all slip in before the first has failed.
"""

from __future__ import annotations

import threading

from handlers.problems import Problem
from handlers.throttle import Throttle
from store.base import Identity
from store.users import Users

# Different credentials, and requests in all, that may wait to be checked in a worker.
MOST_CHECKS = 64
MOST_WAITING = 512
BUSY_S = 2


class SlowDown(Problem):
    """`guesses`: whether wrong passwords are why, and not how many wait."""

    def __init__(self, detail: str, wait_s: int, *, guesses: bool) -> None:
        super().__init__("slow-down", detail, headers={"Retry-After": str(wait_s)})
        self.guesses = guesses


class Passwords:
    def __init__(self, users: Users, throttle: Throttle) -> None:
        self._users = users
        self._throttle = throttle
        self._turn = threading.Semaphore(1)  # of greenlets: gevent has made it its own
        self._checks: dict[bytes, _Check] = {}
        self._waiting = 0

    def identify(self, name: str, password: str, address: str) -> Identity | None:
        """None for a wrong password. Raises SlowDown."""
        who = self._users.recognise(name, password)
        if who is not None:
            return who
        known = self._users.known(name, password)  # no guesser, though the password may have changed since
        if not known and (wait := self._throttle.wait(address, name)):
            raise _too_many_guesses(wait)
        return self._share(name, password, None if known else address)

    def _share(self, name: str, password: str, address: str | None) -> Identity | None:
        """One check for all who bring this at once."""
        fingerprint = self._users.fingerprint(name, password)
        check = self._checks.get(fingerprint)
        if self._waiting >= MOST_WAITING or (check is None and len(self._checks) >= MOST_CHECKS):
            raise SlowDown(f"too many passwords are being checked; try again in {BUSY_S} s", BUSY_S, guesses=False)
        self._waiting += 1
        try:
            if check is not None:
                return check.wait()
            check = self._checks[fingerprint] = _Check()
            try:
                with self._turn:
                    check.who = self._check(name, password, address)
            except Exception as error:
                check.error = error
                raise
            finally:
                del self._checks[fingerprint]
                check.done.set()
            return check.who
        finally:
            self._waiting -= 1

    def _check(self, name: str, password: str, address: str | None) -> Identity | None:
        """`address`: None where this cannot be a guess."""
        if address is None:
            return self._users.authenticate(name, password)
        if wait := self._throttle.take(address, name):
            raise _too_many_guesses(wait)
        guessed = False
        try:
            who = self._users.authenticate(name, password)
            guessed = who is None
        finally:
            if not guessed:
                self._throttle.give_back(address, name)
        return who


class _Check:
    def __init__(self) -> None:
        self.done = threading.Event()
        self.who: Identity | None = None
        self.error: Exception | None = None

    def wait(self) -> Identity | None:
        """Raises what the check raised."""
        self.done.wait()
        if self.error is not None:
            raise self.error
        return self.who


def _too_many_guesses(wait_s: int) -> SlowDown:
    return SlowDown(f"too many wrong passwords; try again in {wait_s} s", wait_s, guesses=True)
