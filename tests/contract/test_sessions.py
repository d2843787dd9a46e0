"""Sessions of browsers: the promises of store.base.Metadata."""

from __future__ import annotations

import pytest

from store.base import Metadata, Session
from store.errors import NotFound
from store.people import MOST_SESSIONS
from tests.contract.backends import Backend

HOUR_S, HOUR_US = 3600, 3600 * 1_000_000


def sessions(metadata: Metadata, user: str = "me") -> list[str]:
    found = metadata.user(user)
    assert found is not None
    assert found in metadata.users()
    return [one.id for one in found.sessions]


def test_sessions_come_and_go_one_by_one(metadata: Metadata, backend: Backend) -> None:
    first = metadata.add_session("me", "a", None, "Firefox ü", HOUR_S)
    second = metadata.add_session("me", "b", None, "", HOUR_S)
    metadata.add_session("you", "a", None, "", HOUR_S)
    assert first == Session("a", None, first.began, first.began + HOUR_US, "Firefox ü")
    me = backend.open().user("me")
    assert me is not None
    assert me.sessions == (first, second)
    assert me.session("a", first.expires - 1) == first
    assert me.session("a", first.expires) is None
    metadata.remove_session("me", "a")
    assert sessions(backend.open()) == ["b"]
    assert sessions(metadata, "you") == ["a"]


def test_only_what_is_there_can_be_ended_and_only_who_is_there_has_sessions(metadata: Metadata) -> None:
    for user in ("me", "nobody"):
        with pytest.raises(NotFound):
            metadata.remove_session(user, "a")
    with pytest.raises(NotFound):
        metadata.add_session("nobody", "a", None, "", HOUR_S)
    with pytest.raises(NotFound):
        metadata.add_session("me", "a", "no such device", "", HOUR_S)
    assert sessions(metadata) == []


def test_a_session_that_is_over_makes_room_and_so_does_the_oldest(metadata: Metadata, backend: Backend) -> None:
    metadata.add_session("me", "short", None, "", 0)
    for number in range(MOST_SESSIONS):
        metadata.add_session("me", f"{number}", None, "", HOUR_S)
    assert sessions(metadata) == [f"{number}" for number in range(MOST_SESSIONS)]
    metadata.add_session("me", "one more", None, "", HOUR_S)
    assert sessions(metadata) == [*(f"{number}" for number in range(1, MOST_SESSIONS)), "one more"]


def test_a_changed_password_ends_the_users_sessions_and_a_revoked_device_its_own(metadata: Metadata) -> None:
    metadata.add_device("me", "laptop", "l" * 64)
    metadata.add_device("me", "phone", "p" * 64)

    def begin() -> None:
        for id, device in (("own", None), ("laptop's", "laptop"), ("phone's", "phone")):
            metadata.add_session("me", id, device, "", HOUR_S)

    begin()
    metadata.set_password("me", "$new$")
    assert sessions(metadata) == ["laptop's", "phone's"]
    metadata.remove_device("me", "laptop")
    assert sessions(metadata) == ["phone's"]
    metadata.set_password("me", "$newer$", revoke_devices=True)
    assert sessions(metadata) == []


def test_sessions_go_with_their_user_and_with_the_name(metadata: Metadata) -> None:
    metadata.add_session("you", "a", None, "", HOUR_S)
    metadata.rename_user("you", "them")
    assert sessions(metadata, "them") == []
    metadata.add_session("them", "b", None, "", HOUR_S)
    metadata.remove_user("them")
    metadata.add_user("them", "$again$")
    assert sessions(metadata, "them") == []


def test_sessions_move_with_their_database(metadata: Metadata, backend: Backend) -> None:
    """With what signs them, so nobody has to sign in anew."""
    made = metadata.add_session("me", "a", None, "a browser", HOUR_S)
    users = metadata.users()
    moving = metadata.moving()
    secret = metadata.secret()
    moving.clear()
    moving.take_people(secret, users, [])
    me = metadata.user("me")
    assert me is not None
    assert me.sessions == (made,)
