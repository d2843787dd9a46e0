"""Guessing passwords gets slow, for an address and for a user, and the owner is not locked out."""

from __future__ import annotations

import tracemalloc

import pytest

from handlers.throttle import MOST_BUCKETS, PER_NETWORK, PER_USER_AND_NETWORK, Throttle
from tests.handlers.site import HASH, Clock, Person, Site, refused

# Beside its 16 bytes and its moment: what Python keeps of an entry in a dict.
BYTES_A_BUCKET = 300


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    return Throttle(clock)


def use_up(throttle: Throttle, address: str, user: str) -> int:
    """How many attempts are let through in one moment."""
    count = 0
    while throttle.take(address, user) == 0:
        count += 1
    return count


def test_a_user_is_guessed_at_ten_times_in_a_burst_from_one_network(throttle: Throttle) -> None:
    waits = [throttle.take(f"2001:db8::{number:x}", "me") for number in range(11)]
    assert waits == [0] * 10 + [6]


def test_a_user_is_guessed_at_a_hundred_times_in_a_burst_whatever_the_addresses(throttle: Throttle) -> None:
    waits = [throttle.take(f"192.0.2.{number}", "me") for number in range(101)]
    assert waits == [0] * 100 + [6]


def test_those_who_guess_at_a_user_elsewhere_leave_the_users_own_network_its_attempts(throttle: Throttle) -> None:
    for address in ("192.0.2.1", "198.51.100.1", "2001:db8::1"):
        use_up(throttle, address, "me")
    assert use_up(throttle, "203.0.113.7", "me") == PER_USER_AND_NETWORK[0]


def test_an_address_guesses_thirty_times_in_a_burst_whatever_the_users(throttle: Throttle) -> None:
    waits = [throttle.take("192.0.2.1", f"user{number}") for number in range(31)]
    assert waits == [0] * 30 + [2]


def test_time_gives_one_more_attempt_after_another(throttle: Throttle, clock: Clock) -> None:
    use_up(throttle, "192.0.2.1", "me")
    clock.now += PER_USER_AND_NETWORK[1] * 3
    assert use_up(throttle, "192.0.2.1", "me") == 3


def test_workers_that_count_for_themselves_allow_no_more_together(clock: Clock) -> None:
    """After their bursts: one more guess every six seconds, whichever of the three it comes to."""
    workers = [Throttle(clock, workers=3) for _ in range(3)]
    for one in workers:
        use_up(one, "192.0.2.1", "me")
    clock.now += 3 * PER_USER_AND_NETWORK[1]
    assert [use_up(one, "192.0.2.1", "me") for one in workers] == [1, 1, 1]


def test_a_right_password_costs_nothing(throttle: Throttle) -> None:
    for _ in range(1_000):
        assert throttle.take("192.0.2.1", "me") == 0
        throttle.give_back("192.0.2.1", "me")


def test_guesses_made_at_once_do_not_slip_in_before_the_first_has_failed(throttle: Throttle) -> None:
    assert use_up(throttle, "192.0.2.1", "me") == PER_USER_AND_NETWORK[0]  # none of them has failed yet


def test_an_ipv6_household_is_one_address(throttle: Throttle) -> None:
    waits = [throttle.take(f"2001:db8::{number:x}", f"user{number}") for number in range(PER_NETWORK[0] + 1)]
    assert waits[-1] > 0
    assert throttle.take("2001:db8:0:1::1", "somebody") == 0


def test_an_ipv4_address_written_as_ipv6_is_the_same(throttle: Throttle) -> None:
    for number in range(PER_NETWORK[0]):
        throttle.take("192.0.2.1", f"user{number}")
    assert throttle.take("::ffff:192.0.2.1", "somebody") > 0


def test_memory_is_bounded_however_many_guess_and_however_long_the_names_are(throttle: Throttle) -> None:
    tracemalloc.start()
    try:
        for number in range(MOST_BUCKETS * 2):
            throttle.take(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", f"user{number}" * 500)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 3 * MOST_BUCKETS * BYTES_A_BUCKET
    for buckets in (throttle._users, throttle._networks, throttle._users_of_networks):
        assert len(buckets) <= MOST_BUCKETS


# -- over HTTP


def guess(site: Site, user: str, password: str = "wrong", **extra: str) -> int:
    person = site.person(None)
    person.app.authorization = ("Basic", (user, password))
    person.app.extra_environ.update(extra)
    status: int = person.get("/v1/vaults").status_int
    return status


def test_the_eleventh_wrong_password_for_a_user_is_slow_down(site: Site) -> None:
    assert [guess(site, "you") for _ in range(11)] == [401] * 10 + [429]
    person = site.person("you")  # even with the right one, while this server has not met its owner
    answer = person.get("/v1/vaults")
    refused(answer, 429, "slow-down")
    assert answer.headers["Retry-After"] == "6"
    site.clock.now += 6
    assert person.get("/v1/vaults").status_int == 200


def test_an_owner_who_was_here_lately_is_let_in_whoever_guesses(site: Site) -> None:
    assert site.me.get("/v1/vaults").status_int == 200
    while guess(site, "me") != 429:
        pass
    site.clock.now += 3  # a guess more has not become possible
    assert site.me.get("/v1/vaults").status_int == 200


def test_an_owner_who_was_here_yesterday_is_let_in_and_verified_again(site: Site) -> None:
    assert site.me.get("/v1/vaults").status_int == 200
    site.clock.now += 20 * 3600
    while guess(site, "me") != 429:
        pass
    assert site.me.get("/v1/vaults").status_int == 200
    site.metadata.set_password("me", "of no use")
    site.clock.now += 31
    assert site.me.get("/v1/vaults").status_int == 401


def test_a_request_without_credentials_is_no_guess(site: Site) -> None:
    for _ in range(50):
        assert site.person(None).get("/v1/vaults").status_int == 401
    assert site.me.get("/v1/vaults").status_int == 200


def test_an_unknown_user_and_a_wrong_password_get_the_same_answer(site: Site) -> None:
    answers = []
    for user in ("me", "nobody"):
        person = Person(site, None)
        person.app.authorization = ("Basic", (user, "wrong"))
        answers.append(person.get("/v1/vaults", X_Request_ID="one"))
    assert answers[0].json == answers[1].json
    assert answers[0].headers == answers[1].headers


def test_x_forwarded_for_of_a_stranger_buys_no_attempts(site: Site) -> None:
    statuses = []
    for number in range(PER_NETWORK[0] + 1):
        person = site.person(None)
        person.app.authorization = ("Basic", (f"user{number}", "wrong"))
        person.app.extra_environ["REMOTE_ADDR"] = "203.0.113.5"
        statuses.append(person.get("/v1/vaults", X_Forwarded_For=f"10.0.0.{number}").status_int)
    assert statuses[-1] == 429


def test_a_proxy_that_is_not_trusted_is_named_once_when_it_is_slowed_down(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Everybody behind it has its address, so a guesser locks out all of them."""
    for number in range(PER_NETWORK[0] + 3):
        guess(site, f"user{number}", REMOTE_ADDR="10.0.0.5", HTTP_X_FORWARDED_FOR="192.0.2.1")
        guess(site, f"user{number}", REMOTE_ADDR="192.0.2.9")  # no proxy
    hints = [one.getMessage() for one in caplog.records if "GOBI_TRUSTED_PROXIES" in one.getMessage()]
    assert len(hints) == 1
    assert hints[0].startswith("10.0.0.5 is slowed down")


def test_an_owner_cannot_find_out_who_has_an_account_by_letting_many_names_in(site: Site) -> None:
    """After ten that nobody has, the answer is the same for those that somebody has, for a minute."""

    def let_in(name: str, by: str = "me") -> int:
        status: int = site.person(by).ask("PUT", f"/v1/vaults/notes/members/{name}", {"role": "read"}).status_int
        return status

    assert let_in("you") == 200
    assert [let_in(f"nobody-{number}") for number in range(10)] == [404] * 10
    site.metadata.add_user("anna", HASH)
    assert [let_in("anna"), let_in("nobody")] == [429, 429]
    assert let_in("you") == 200, "who is in already is no guess"
    site.clock.now += 60
    assert [let_in("anna"), let_in("nobody"), let_in("nobody")] == [200, 404, 429]


def test_letting_people_in_who_exist_is_never_slowed_down(site: Site) -> None:
    for number in range(30):
        site.metadata.add_user(f"user-{number}", HASH)
        answer = site.me.ask("PUT", f"/v1/vaults/notes/members/user-{number}", {"role": "read"})
        assert answer.status_int == 200
