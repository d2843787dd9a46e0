"""Devices with passwords of their own, and invitations: the promises of store.base.Metadata."""

from __future__ import annotations

import threading

import pytest

from store.base import Metadata, Vault
from store.errors import Forbidden, NameTaken, NotFound, StoreError
from store.people import MOST_DEVICES, MOST_INVITATIONS
from tests.contract.backends import Backend

LAPTOP, PHONE, TABLET = ("l" * 64, "p" * 64, "t" * 64)
HOUR_S, HOUR_US = 3600, 3600 * 1_000_000


def devices(metadata: Metadata, user: str = "me") -> dict[str, str]:
    found = metadata.user(user)
    assert found is not None
    assert found in metadata.users()
    return {one.name: one.hash for one in found.devices}


# -- devices


def test_devices_come_and_go_one_by_one(metadata: Metadata, backend: Backend) -> None:
    """By name, for every client, and the passwords of people stay as they are."""
    metadata.add_device("me", "phone", PHONE)
    metadata.add_device("me", "laptop, the old one", LAPTOP)
    metadata.add_device("you", "phone", LAPTOP)
    assert list(devices(backend.open()).items()) == [("laptop, the old one", LAPTOP), ("phone", PHONE)]
    metadata.remove_device("me", "phone")
    assert devices(backend.open()) == {"laptop, the old one": LAPTOP}
    assert devices(metadata, "you") == {"phone": LAPTOP}
    metadata.add_device("me", "phone", TABLET)
    me = metadata.user("me")
    assert me is not None
    assert (me.stored(None), me.stored("phone"), me.stored("desktop")) == ("$hash of me$", TABLET, None)


def test_a_device_is_dated_by_the_databases_clock(metadata: Metadata, backend: Backend) -> None:
    metadata.add_device("me", "laptop", LAPTOP)
    backend.step_back(HOUR_US)
    metadata.add_device("me", "phone", PHONE)
    me = metadata.user("me")
    assert me is not None
    later, earlier = (one.added for one in me.devices)
    assert 0 < later - earlier <= HOUR_US


def test_a_devices_name_and_its_password_are_taken_once_a_user(metadata: Metadata) -> None:
    metadata.add_device("me", "laptop", LAPTOP)
    for name, hash in (("laptop", PHONE), ("phone", LAPTOP)):
        with pytest.raises(NameTaken):
            metadata.add_device("me", name, hash)
    assert devices(metadata) == {"laptop": LAPTOP}


def test_only_what_is_there_can_be_removed_and_only_who_is_there_has_devices(metadata: Metadata) -> None:
    for user, name in (("me", "laptop"), ("nobody", "laptop")):
        with pytest.raises(NotFound):
            metadata.remove_device(user, name)
    with pytest.raises(NotFound):
        metadata.add_device("nobody", "laptop", LAPTOP)
    assert metadata.user("nobody") is None


def test_a_changed_password_takes_devices_and_invitations_only_where_it_is_to(metadata: Metadata, vault: Vault) -> None:
    for revoke, left in ((False, {"laptop": LAPTOP}), (True, {})):
        metadata.add_invitation(f"i{revoke}", "me", vault.id, HOUR_S)
        if not revoke:
            metadata.add_device("me", "laptop", LAPTOP)
            metadata.add_device("you", "laptop", LAPTOP)
        metadata.set_password("me", "$new$", revoke_devices=revoke)
        assert devices(metadata) == left
    assert metadata.moving().invitations() == []
    assert devices(metadata, "you") == {"laptop": LAPTOP}


def test_a_removed_user_leaves_neither_devices_nor_invitations_to_the_next_of_that_name(
    metadata: Metadata, vault: Vault
) -> None:
    metadata.set_member(vault.id, "you", "write")
    metadata.add_device("you", "laptop", LAPTOP)
    metadata.add_invitation("i", "you", vault.id, HOUR_S)
    metadata.remove_user("you")
    metadata.add_user("you", "$again$")
    metadata.set_member(vault.id, "you", "write")
    assert devices(metadata, "you") == {}
    with pytest.raises(NotFound):
        metadata.redeem("i", "laptop", LAPTOP)


def test_there_are_only_so_many_devices_a_user(metadata: Metadata, vault: Vault) -> None:
    metadata.add_invitation("i", "me", vault.id, HOUR_S)
    for number in range(MOST_DEVICES):
        metadata.add_device("me", f"device {number}", f"{number:064}")
    with pytest.raises(Forbidden):
        metadata.add_device("me", "one more", LAPTOP)
    with pytest.raises(Forbidden):
        metadata.redeem("i", "one more", LAPTOP)
    metadata.remove_device("me", "device 7")
    assert metadata.redeem("i", "one more", LAPTOP) == ("me", "notes")
    assert len(devices(metadata)) == MOST_DEVICES


# -- invitations


def test_an_invitation_becomes_a_device_once(metadata: Metadata, vault: Vault) -> None:
    metadata.add_invitation("i", "me", vault.id, HOUR_S)
    assert metadata.redeem("i", "laptop", LAPTOP) == ("me", "notes")
    metadata.add_device("me", "tablet", TABLET)
    for name, hash in (("phone", PHONE), ("laptop", PHONE), ("phone", LAPTOP), ("tablet", TABLET)):
        with pytest.raises(NotFound):
            metadata.redeem("i", name, hash)
    assert devices(metadata) == {"laptop": LAPTOP, "tablet": TABLET}


def test_who_lost_the_reply_asks_again_and_gets_it_until_the_device_is_revoked(
    metadata: Metadata, backend: Backend, vault: Vault
) -> None:
    metadata.add_invitation("i", "me", vault.id, HOUR_S)
    for client in (metadata, metadata, backend.open()):
        assert client.redeem("i", "laptop", LAPTOP) == ("me", "notes")
        assert devices(metadata) == {"laptop": LAPTOP}
    metadata.remove_device("me", "laptop")
    with pytest.raises(NotFound):
        metadata.redeem("i", "laptop", LAPTOP)
    metadata.add_device("me", "laptop", PHONE)
    with pytest.raises(NotFound):
        metadata.redeem("i", "laptop", LAPTOP)
    assert devices(metadata) == {"laptop": PHONE}


def test_of_many_who_use_an_invitation_at_once_one_does(metadata: Metadata, backend: Backend, vault: Vault) -> None:
    metadata.add_invitation("i", "me", vault.id, HOUR_S)
    start, done = threading.Barrier(6), list[str]()

    def use(client: Metadata, number: int) -> None:
        start.wait()
        try:
            client.redeem("i", f"device {number}", f"{number:064}")
            done.append(f"device {number}")
        except NotFound:
            pass

    threads = [threading.Thread(target=use, args=(backend.open(), number)) for number in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(done) == 1
    assert list(devices(metadata)) == done


def test_an_invitation_is_good_until_the_databases_clock_says_otherwise(
    metadata: Metadata, backend: Backend, vault: Vault
) -> None:
    metadata.add_device("me", "phone", PHONE)
    me = metadata.user("me")
    assert me is not None
    made = metadata.add_invitation("i", "me", vault.id, HOUR_S)
    metadata.add_invitation("j", "me", vault.id, HOUR_S)
    assert HOUR_US <= made.expires - me.devices[0].added < 2 * HOUR_US
    backend.step_back(-HOUR_US // 2)
    assert metadata.redeem("i", "laptop", LAPTOP) == ("me", "notes")
    backend.step_back(-HOUR_US // 2)
    for secret, hash in (("j", TABLET), ("i", LAPTOP)):
        with pytest.raises(NotFound):
            metadata.redeem(secret, "laptop", hash)
    metadata.add_invitation("k", "me", vault.id, HOUR_S)
    assert [one.hash for one in metadata.moving().invitations()] == ["k"], "what is over makes room"


def test_a_name_that_is_taken_does_not_use_the_invitation_up(metadata: Metadata, vault: Vault) -> None:
    metadata.add_device("me", "laptop", LAPTOP)
    metadata.add_invitation("i", "me", vault.id, HOUR_S)
    with pytest.raises(NameTaken):
        metadata.redeem("i", "laptop", PHONE)
    assert metadata.redeem("i", "phone", PHONE) == ("me", "notes")


def test_whatever_is_wrong_with_an_invitation_it_is_refused_in_the_same_words(
    metadata: Metadata, backend: Backend, vault: Vault
) -> None:
    """Unknown, used, its vault gone or made again, its user no member any more, over."""
    other = metadata.create_vault("other", "you")
    metadata.set_member(vault.id, "you", "read")
    gone = metadata.create_vault("gone", "you")
    for secret, where in (("used", other), ("put out", vault), ("gone", gone), ("over", other)):
        metadata.add_invitation(secret, "you", where.id, HOUR_S)
    metadata.redeem("used", "phone", PHONE)
    metadata.remove_member(vault.id, "you")
    metadata.remove_vault(gone.id)
    metadata.create_vault("gone", "you")
    said = set()
    for secret in ("unknown", "used", "put out", "gone"):
        with pytest.raises(NotFound) as refused:
            metadata.redeem(secret, "laptop", LAPTOP)
        said.add(str(refused.value))
    backend.step_back(-HOUR_US)
    with pytest.raises(NotFound) as refused:
        metadata.redeem("over", "laptop", LAPTOP)
    assert {str(refused.value)} == said
    assert devices(metadata, "you") == {"phone": PHONE}


def test_only_a_member_is_invited_and_only_so_often(metadata: Metadata, vault: Vault) -> None:
    for user, vault_id in (("nobody", vault.id), ("you", vault.id), ("me", "0" * 16)):
        with pytest.raises(NotFound):
            metadata.add_invitation("i", user, vault_id, HOUR_S)
    for number in range(MOST_INVITATIONS):
        metadata.add_invitation(f"{number}", "me", vault.id, HOUR_S)
    with pytest.raises(Forbidden):
        metadata.add_invitation("i", "me", vault.id, HOUR_S)
    metadata.redeem("7", "laptop", LAPTOP)
    metadata.add_invitation("i", "me", vault.id, HOUR_S)


def test_no_refusal_names_a_secret(metadata: Metadata, vault: Vault) -> None:
    metadata.add_device("me", "laptop", LAPTOP)
    for attempt in (
        lambda: metadata.redeem("s3cret", "phone", PHONE),
        lambda: metadata.add_device("me", "laptop", PHONE),
        lambda: metadata.add_device("me", "phone", LAPTOP),
    ):
        with pytest.raises(StoreError) as refused:
            attempt()
        assert not any(word in str(refused.value) for word in ("s3cret", LAPTOP, PHONE))
