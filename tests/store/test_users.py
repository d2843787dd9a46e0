"""People and their passwords: hard to guess, cheap to repeat, never in the clear."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from store.base import Gap, Identity, Message, Notice, PeopleChanged, User
from store.bus import LocalBus
from store.devices import Devices
from store.errors import BadRequest, LastOwner, NameTaken, NotFound
from store.sqlite import SqliteMetadata
from store.users import KNOWN_S, MAX_PASSWORD, MOST_KNOWN, REMEMBERED_S, Users


class Pool:
    """Runs the work right here, and counts how often argon2 was asked. `meanwhile` happens once, during the next."""

    def __init__(self) -> None:
        self.hashings = 0
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self, work: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
        self.hashings += 1
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return work(*arguments, **options)


class Watched(SqliteMetadata):
    """Counts how often it is asked who somebody is."""

    looks = 0

    def user(self, name: str) -> User | None:
        self.looks += 1
        return super().user(name)


class House:
    def __init__(self, folder: Path) -> None:
        self.metadata = Watched(folder / "gobi.db")
        self.pool = Pool()
        self.now = 1_000.0
        self.bus = LocalBus()
        self.users = self.another_workers()

    def another_workers(self) -> Users:
        """What a second process has that hears the same messages."""
        return Users(self.metadata, self.bus, offload=self.pool, clock=lambda: self.now)

    def ask_once(self) -> None:
        """The first question of all makes ready what nobody's password is compared with."""
        self.users.authenticate("nobody", "x")

    def looks(self, name: str, password: str) -> tuple[bool, int, int]:
        """Whether the password is right, and how often the database and argon2 were asked for it."""
        before = self.metadata.looks
        right, hashings = self.cost(name, password)
        return right, self.metadata.looks - before, hashings

    def cost(self, name: str, password: str) -> tuple[bool, int]:
        """Whether the password is right, and how often argon2 was asked for it."""
        before = self.pool.hashings
        return self.users.authenticate(name, password) is not None, self.pool.hashings - before


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    one = House(tmp_path)
    yield one
    one.metadata.close()


# -- people


def test_a_password_is_kept_as_argon2id_of_the_recommended_cost(house: House) -> None:
    """19 MiB, two passes, one lane (OWASP Password Storage Cheat Sheet), with a salt of its own."""
    house.users.add("me", "secret")
    house.users.add("you", "secret")
    mine, yours = house.metadata.users()
    assert mine.password is not None
    parameters = extract_parameters(mine.password)
    assert (parameters.type, parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (
        Type.ID,
        19 * 1024,
        2,
        1,
    )
    assert mine.password != yours.password
    assert "secret" not in mine.password


def test_a_name_is_taken_once(house: House) -> None:
    house.users.add("me", "secret")
    with pytest.raises(NameTaken):
        house.users.add("me", "other")
    assert house.users.authenticate("me", "secret")
    assert house.users.names() == ["me"]


@pytest.mark.parametrize("name", ["", "Me", "a b", "-a", "é", "a" * 65, "../x"])
def test_a_name_has_the_protocols_form(house: House, name: str) -> None:
    with pytest.raises(BadRequest, match="cannot be a user's name"):
        house.users.add(name, "secret")


@pytest.mark.parametrize("password", ["", "x" * (MAX_PASSWORD + 1)], ids=["empty", "too long"])
def test_a_password_is_neither_empty_nor_endless(house: House, password: str) -> None:
    house.users.add("me", "secret")
    with pytest.raises(BadRequest, match="password"):
        house.users.add("you", password)
    with pytest.raises(BadRequest, match="password"):
        house.users.set_password("me", password)
    assert house.users.authenticate("me", "secret")


def test_no_error_shows_the_password(house: House) -> None:
    with pytest.raises(BadRequest) as refused:
        house.users.add("Nobody", "hunter2 hunter2")
    assert "hunter2" not in str(refused.value)


def test_a_password_may_hold_anything(house: House) -> None:
    """Other alphabets, colons, NUL, and what is no Unicode at all."""
    passwords = ["correct horse", "пароль 🌱", "a:b", "\x00", "\udcff", "x" * MAX_PASSWORD]
    house.users.add("me", "to begin with")
    for password in passwords:
        house.users.set_password("me", password)
        assert house.users.authenticate("me", password), ascii(password)
    assert not house.users.authenticate("me", "x" * (MAX_PASSWORD - 1))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_password_is_the_same_however_its_letters_are_composed(house: House, form: Literal["NFC", "NFD"]) -> None:
    """A Mac's file has `e` and an accent where a phone sends one letter."""
    house.users.add("me", normalize(form, "Grüße, Zoë"))
    for typed in ("NFC", "NFD"):
        assert house.users.authenticate("me", normalize(typed, "Grüße, Zoë"))
    assert not house.users.authenticate("me", "Grusse, Zoe")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_password_that_was_set_before_stays_good(house: House, form: Literal["NFC", "NFD"]) -> None:
    """Earlier versions kept it as it was given."""
    house.metadata.add_user("me", PasswordHasher().hash(normalize(form, "Grüße, Zoë")))
    for typed in ("NFC", "NFD"):
        assert house.users.authenticate("me", normalize(typed, "Grüße, Zoë"))


def test_who_is_removed_is_unknown(house: House) -> None:
    house.users.add("me", "secret")
    house.users.authenticate("me", "secret")
    house.users.remove("me")
    assert not house.users.authenticate("me", "secret")
    assert house.users.names() == []
    with pytest.raises(NotFound):
        house.users.remove("me")


def test_a_vaults_last_owner_stays(house: House) -> None:
    house.users.add("me", "secret")
    house.metadata.create_vault("notes", "me")
    with pytest.raises(LastOwner):
        house.users.remove("me")
    assert house.users.authenticate("me", "secret")


# -- recognising them


def test_the_right_password_and_no_other(house: House) -> None:
    house.users.add("me", "secret")
    house.users.add("you", "other")
    assert house.users.authenticate("me", "secret")
    for wrong in ("Secret", "secret ", "", "other", "x" * (MAX_PASSWORD + 1)):
        assert not house.users.authenticate("me", wrong)


def test_a_verified_password_is_remembered_for_half_a_minute(house: House) -> None:
    house.ask_once()
    house.users.add("me", "secret")
    assert house.cost("me", "secret") == (True, 1)
    house.now += REMEMBERED_S - 0.01
    assert house.looks("me", "secret") == (True, 0, 0)
    house.now += 0.02
    assert house.looks("me", "secret") == (True, 1, 0), "being asked again does not make it last longer"
    assert house.looks("me", "secret") == (True, 0, 0)


def test_a_password_is_hashed_again_only_where_the_database_has_another_hash(house: House) -> None:
    house.ask_once()
    house.users.add("me", "secret")
    house.users.authenticate("me", "secret")
    house.now += REMEMBERED_S
    assert house.cost("me", "secret") == (True, 0)
    house.users.set_password("me", "secret")
    assert house.cost("me", "secret") == (True, 1)
    house.now += KNOWN_S
    assert house.cost("me", "secret") == (True, 1), "nobody came for a day"


@pytest.mark.parametrize("wrong", ["x" * (MAX_PASSWORD + 1), "secret" * 1_000])
def test_a_password_that_is_too_long_takes_as_long_as_any_other(house: House, wrong: str) -> None:
    house.ask_once()
    house.users.add("me", "secret")
    for name in ("me", "nobody"):
        assert house.cost(name, wrong) == (False, 1)


def test_a_password_that_is_too_long_is_not_taken_for_its_beginning(house: House) -> None:
    house.users.add("me", "x" * MAX_PASSWORD)
    assert house.users.authenticate("me", "x" * MAX_PASSWORD)
    assert not house.users.authenticate("me", "x" * (MAX_PASSWORD + 1))


def test_a_name_that_nobody_can_have_is_not_looked_up(house: House) -> None:
    house.ask_once()
    for name in ("x" * 8_000, "Me", "../me", ""):
        assert house.looks(name, "wrong") == (False, 0, 1)


def test_a_wrong_password_is_never_remembered(house: House) -> None:
    house.ask_once()
    house.users.add("me", "secret")
    for _ in range(2):
        assert house.cost("me", "wrong") == (False, 1)
    house.users.authenticate("me", "secret")
    assert house.cost("me", "wrong") == (False, 1)


def test_an_unknown_user_costs_what_a_wrong_password_costs(house: House) -> None:
    """Also one who cannot sign in at all."""
    house.ask_once()
    house.users.add("me", "secret")
    assert house.cost("me", "wrong") == (False, 1)
    assert house.cost("nobody", "wrong") == (False, 1)
    assert house.cost("nobody", "secret") == (False, 1)
    house.metadata.set_password("me", "no hash at all")
    assert house.cost("me", "secret") == (False, 1)


def test_the_very_first_question_tells_no_more_than_later_ones(house: House) -> None:
    house.users.add("me", "secret")
    costs = set()
    for name in ("me", "nobody"):
        house.users = Users(house.metadata, offload=house.pool)
        costs.add(house.cost(name, "wrong"))
    assert len(costs) == 1


def test_a_changed_password_counts_at_once_here_and_within_half_a_minute_elsewhere(house: House) -> None:
    """Another process changes it by the database alone."""
    house.users.add("me", "old")
    other = Users(house.metadata, clock=lambda: house.now)
    assert house.users.authenticate("me", "old")
    assert other.authenticate("me", "old")
    house.users.set_password("me", "new")
    assert not house.users.authenticate("me", "old")
    assert house.users.authenticate("me", "new")
    house.now += REMEMBERED_S
    assert not other.authenticate("me", "old")
    assert other.authenticate("me", "new")
    with pytest.raises(NotFound):
        house.users.set_password("nobody", "new")


@pytest.mark.parametrize("message", [PeopleChanged(), Gap()])
def test_what_may_have_changed_a_password_has_it_verified_again(house: House, message: Message) -> None:
    """Somebody's was changed, by whomever; or messages were lost, and one may have said so."""
    house.users.add("me", "secret")
    house.users.authenticate("me", "secret")
    house.bus.publish(message)
    assert house.looks("me", "secret") == (True, 1, 0)
    assert house.looks("me", "secret") == (True, 0, 0)


def test_a_commit_changes_no_password(house: House) -> None:
    house.users.add("me", "secret")
    house.users.authenticate("me", "secret")
    house.bus.publish(Notice("v1", 1, 2))
    assert house.cost("me", "secret") == (True, 0)


def test_workers_that_hear_of_each_other_forget_a_changed_password_at_once(house: House) -> None:
    house.users.add("me", "old")
    house.users.add("you", "secret")
    other = house.another_workers()
    assert other.authenticate("me", "old")
    assert other.authenticate("you", "secret")
    house.users.set_password("me", "new")
    assert not other.authenticate("me", "old")
    house.users.remove("you")
    assert not other.authenticate("you", "secret")


def test_a_password_that_changes_while_it_is_verified_is_not_remembered(house: House) -> None:
    """Read before the change, compared for 25 ms, remembered after it."""
    house.users.add("me", "old")
    house.ask_once()
    house.pool.meanwhile = lambda: house.another_workers().set_password("me", "new")
    assert house.users.authenticate("me", "old"), "this one came before the change"
    assert not house.users.authenticate("me", "old")


def test_an_owner_who_does_not_know_of_a_change_yet_may_ask_once(house: House) -> None:
    house.users.add("me", "old")
    house.users.authenticate("me", "old")
    house.another_workers().set_password("me", "new")
    assert house.users.known("me", "old")
    assert not house.users.authenticate("me", "old")
    assert not house.users.known("me", "old")


def test_who_was_verified_lately_is_no_guesser(house: House) -> None:
    """For a day, with that very password; long after the half minute is over."""
    house.users.add("me", "secret")
    assert not house.users.known("me", "secret")
    house.users.authenticate("me", "secret")
    house.now += 23 * 3600
    assert house.users.known("me", "secret")
    assert not house.users.known("me", "wrong")
    assert not house.users.known("you", "secret")
    house.now += 3600
    assert not house.users.known("me", "secret")


def test_name_and_password_are_not_run_together(house: House) -> None:
    house.users.add("me", "a\0b")
    assert house.users.authenticate("me", "a\0b")
    assert not house.users.authenticate("me\0a", "b")
    assert not house.users.known("me\0a", "b")


def test_only_so_many_are_remembered_and_none_in_the_clear(house: House) -> None:
    house.users.add("me", "secret")
    house.users.authenticate("me", "secret")
    for number in range(MOST_KNOWN):
        house.users._remember(str(number).encode(), Identity("me", None, "x"), 0)
    assert len(house.users._verified) == MOST_KNOWN
    assert not house.users.known("me", "secret"), "the oldest makes room"
    house.users.authenticate("me", "secret")
    assert all(b"secret" not in key for key in house.users._verified)


# -- devices


def test_a_devices_password_is_recognised_without_argon2_and_names_the_device(house: House) -> None:
    house.ask_once()
    house.users.add("me", "secret")
    house.users.add("you", "secret")
    devices = Devices(house.metadata)
    laptop, phone = devices.add("me", "laptop"), devices.add("me", "phone")
    for password, device in ((laptop, "laptop"), (phone, "phone")):
        assert house.cost("me", password) == (True, 0)
        who = house.users.authenticate("me", password)
        assert who is not None
        assert (who.user, who.device) == ("me", device)
    own = house.users.authenticate("me", "secret")
    assert own is not None
    assert own.device is None


def test_whatever_is_wrong_costs_the_same(house: House) -> None:
    """Also what looks like a device's password, for users with devices and without, and for nobody."""
    house.ask_once()
    house.users.add("me", "secret")
    house.users.add("you", "secret")
    devices = Devices(house.metadata)
    password = devices.add("me", "laptop")
    revoked = devices.add("me", "phone")
    devices.revoke("me", "phone", None)
    stored = house.metadata.user("me")
    assert stored is not None
    for wrong in (revoked, stored.devices[0].hash, password.upper(), "wrong"):
        assert house.cost("me", wrong) == (False, 1)
    for name in ("you", "nobody"):
        assert house.cost(name, password) == (False, 1)


def test_a_revoked_device_is_out_at_once_here_and_within_half_a_minute_elsewhere(house: House) -> None:
    house.users.add("me", "secret")
    devices = Devices(house.metadata, house.bus)
    laptop, phone = devices.add("me", "laptop"), devices.add("me", "phone")
    deaf = Users(house.metadata, clock=lambda: house.now)
    for one in (house.users, deaf):
        assert one.authenticate("me", laptop)
        assert one.authenticate("me", phone)
    devices.revoke("me", "laptop", None)
    assert not house.users.authenticate("me", laptop)
    house.now += REMEMBERED_S
    assert not deaf.authenticate("me", laptop)
    for one in (house.users, deaf):
        assert one.authenticate("me", phone)
    with pytest.raises(NotFound, match="gobi user token list me"):
        devices.revoke("me", "laptop", None)


def test_a_changed_password_leaves_the_devices_alone_unless_it_is_to_take_them(house: House) -> None:
    house.users.add("me", "secret")
    devices = Devices(house.metadata)
    laptop = devices.add("me", "laptop")
    house.users.set_password("me", "other")
    assert house.users.authenticate("me", laptop)
    house.users.set_password("me", "third", revoke_devices=True)
    assert not house.users.authenticate("me", laptop)
    assert devices.of("me") == ()


@pytest.mark.parametrize("name", ["", "x" * 65, "büro", "a\nb", ".", ".."])
def test_a_device_needs_a_name_that_the_protocol_allows(house: House, name: str) -> None:
    house.users.add("me", "secret")
    with pytest.raises(BadRequest, match="cannot name a device"):
        Devices(house.metadata).add("me", name)
    with pytest.raises(NotFound):
        Devices(house.metadata).add("nobody", "laptop")
    assert Devices(house.metadata).of("me") == ()


def test_generated_passwords_are_long_random_and_readable(house: House) -> None:
    house.users.add("me", "secret")
    made = {Devices(house.metadata).add("me", f"device {number}") for number in range(20)}
    assert len(made) == 20
    for one in made:
        groups = one.split("-")
        assert [len(group) for group in groups] == [4] * 8, "160 bits"
        assert set("".join(groups)) <= set("abcdefghijklmnopqrstuvwxyz234567")
        assert one not in repr(house.metadata.users())
