"""People, vaults and who is in them: the promises of store.base.Metadata."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from store.base import Metadata, Query, Totals, User, Vault
from store.errors import LastOwner, NameTaken, NotFound, TooMany
from sync.model import Candidate, Conflict
from tests.contract.backends import Backend
from tests.contract.log import append, hash_of


def test_a_store_that_works_answers(metadata: Metadata) -> None:
    metadata.ping()


def test_the_secret_is_one_for_every_client_and_lasts(backend: Backend) -> None:
    secret = backend.open().secret()
    assert len(secret) == 32
    assert backend.open().secret() == secret


# -- people


def test_a_user_is_there_once_added(metadata: Metadata) -> None:
    metadata.add_user("anna", "$a$")
    assert metadata.user("anna") == User("anna", "$a$")
    assert metadata.user("nobody") is None
    assert [user.name for user in metadata.users()] == ["anna", "me", "you"]


def test_a_users_name_is_taken_once(metadata: Metadata) -> None:
    with pytest.raises(NameTaken):
        metadata.add_user("me", "$other$")
    assert metadata.user("me") == User("me", "$hash of me$")


def test_a_password_is_changed_for_those_who_exist(metadata: Metadata) -> None:
    metadata.set_password("me", "$new$")
    assert metadata.user("me") == User("me", "$new$")
    with pytest.raises(NotFound):
        metadata.set_password("nobody", "$new$")
    assert metadata.user("nobody") is None


def test_a_renamed_user_keeps_everything_but_the_name(metadata: Metadata, vault: Vault) -> None:
    """The password, devices, open invitations, and what they are in each vault."""
    other = metadata.create_vault("other", "you")
    metadata.set_member(other.id, "me", "read")
    metadata.add_device("me", "laptop", "l" * 64)
    metadata.add_invitation("i" * 64, "me", vault.id, 3600)
    before = metadata.user("me")
    assert before is not None
    metadata.rename_user("me", "anna")
    assert metadata.user("me") is None
    assert metadata.user("anna") == replace(before, name="anna")
    assert [one.name for one in metadata.vaults("anna")] == ["notes", "other"]
    assert metadata.vaults("me") == []
    after = {one.name: one.members for one in metadata.vaults()}
    assert after == {"notes": {"anna": "owner"}, "other": {"anna": "read", "you": "owner"}}
    assert metadata.redeem("i" * 64, "phone", "p" * 64) == ("anna", "notes")
    metadata.add_user("me", "$new$")
    assert metadata.vaults("me") == []


def test_a_user_gets_no_name_that_is_taken(metadata: Metadata, vault: Vault) -> None:
    for name in ("you", "me"):
        with pytest.raises(NameTaken):
            metadata.rename_user("me", name)
    with pytest.raises(NotFound):
        metadata.rename_user("nobody", "anna")
    assert [user.name for user in metadata.users()] == ["me", "you"]
    assert members(metadata) == {"me": "owner"}


def test_a_renamed_vault_keeps_everything_but_the_name(metadata: Metadata, vault: Vault) -> None:
    """Also while others write: their commits go into the same vault."""
    append(metadata, vault.id, ("a", "A"))
    before = metadata.vault("notes")
    assert before is not None
    metadata.rename_vault(vault.id, "family")
    assert metadata.vault("notes") is None
    assert metadata.vault("family") == replace(before, name="family")
    append(metadata, vault.id, ("b", "B"))
    assert [one.path for one in metadata.changes(vault.id, 0, 10)] == ["a", "b"]
    metadata.rename_vault(vault.id, "family")
    another = metadata.create_vault("notes", "you")
    assert another.id != vault.id
    with pytest.raises(NameTaken):
        metadata.rename_vault(vault.id, "notes")
    with pytest.raises(NotFound):
        metadata.rename_vault(f"{1:016x}", "lost")
    assert [one.name for one in metadata.vaults()] == ["family", "notes"]


def test_who_writes_meanwhile_is_not_in_the_way_of_a_new_name(
    metadata: Metadata, backend: Backend, vault: Vault
) -> None:
    other, stop, written = backend.open(), threading.Event(), list[str]()

    def write() -> None:
        while not stop.is_set():
            written.extend(one.path for one in append(other, vault.id, (f"{len(written)}", "x")))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            metadata.rename_vault(vault.id, f"name-{number}")
            metadata.rename_user("me" if number == 0 else f"me-{number - 1}", f"me-{number}")
    finally:
        stop.set()
        writer.join()
    after = metadata.vault("name-4")
    assert after is not None
    assert after.members == {"me-4": "owner"}
    assert [one.path for one in metadata.changes(vault.id, 0, 10_000)] == written


def test_a_removed_user_is_out_of_every_vault(metadata: Metadata, vault: Vault) -> None:
    metadata.set_member(vault.id, "you", "write")
    metadata.remove_user("you")
    assert metadata.user("you") is None
    assert members(metadata) == {"me": "owner"}
    metadata.add_user("you", "$again$")
    assert metadata.vaults("you") == []
    with pytest.raises(NotFound):
        metadata.remove_user("nobody")


def test_a_vaults_last_owner_cannot_be_removed_from_the_server(metadata: Metadata, vault: Vault) -> None:
    metadata.set_member(vault.id, "you", "write")
    with pytest.raises(LastOwner):
        metadata.remove_user("me")
    assert metadata.user("me") is not None
    assert members(metadata) == {"me": "owner", "you": "write"}
    metadata.set_member(vault.id, "you", "owner")
    metadata.remove_user("me")
    assert members(metadata) == {"you": "owner"}


# -- vaults


def members(metadata: Metadata) -> dict[str, str]:
    there = metadata.vault("notes")
    assert there is not None
    return dict(there.members)


def test_a_new_vault_is_empty_and_its_makers(metadata: Metadata) -> None:
    made = metadata.create_vault("notes", "me")
    assert made == metadata.vault("notes")
    assert (made.name, made.members, made.clock, made.purge_mark) == ("notes", {"me": "owner"}, 0, 0)
    assert (made.files, made.bytes, made.stored, made.conflicts) == (0, 0, 0, 0)
    assert len(made.epoch) == 12
    assert metadata.vault("other") is None


def test_a_vaults_name_is_taken_once_on_a_server(metadata: Metadata, vault: Vault) -> None:
    for user in ("me", "you"):
        with pytest.raises(NameTaken):
            metadata.create_vault("notes", user)
    assert metadata.vault("notes") == vault


def test_a_vault_needs_an_owner_who_exists(metadata: Metadata) -> None:
    with pytest.raises(NotFound):
        metadata.create_vault("notes", "nobody")
    assert metadata.vault("notes") is None


def test_vaults_are_listed_by_name_all_or_those_of_a_member(metadata: Metadata) -> None:
    for name, owner in (("b", "me"), ("c", "you"), ("a", "me")):
        metadata.create_vault(name, owner)
    assert [vault.name for vault in metadata.vaults()] == ["a", "b", "c"]
    assert [vault.name for vault in metadata.vaults("me")] == ["a", "b"]
    assert metadata.vaults("nobody") == []


def test_a_members_role_is_set_and_changed(metadata: Metadata, vault: Vault) -> None:
    metadata.set_member(vault.id, "you", "read")
    metadata.set_member(vault.id, "you", "read")
    assert members(metadata) == {"me": "owner", "you": "read"}
    metadata.set_member(vault.id, "you", "write")
    assert members(metadata) == {"me": "owner", "you": "write"}


def test_only_who_exists_becomes_a_member_of_what_exists(metadata: Metadata, vault: Vault) -> None:
    with pytest.raises(NotFound):
        metadata.set_member(vault.id, "nobody", "read")
    metadata.remove_vault(vault.id)
    with pytest.raises(NotFound):
        metadata.set_member(vault.id, "you", "read")
    with pytest.raises(NotFound):
        metadata.remove_member(vault.id, "me")


def test_a_vault_merges_by_itself_once_it_was_told_to(metadata: Metadata, backend: Backend, vault: Vault) -> None:
    """Every client sees it, wherever the vault is read; nothing else changes."""
    other = metadata.create_vault("other", "me")
    append(metadata, vault.id, ("a", "A"))
    before = metadata.vault("notes")
    assert before is not None
    assert before.auto_merge is False
    for on in (True, True, False):
        metadata.set_auto_merge(vault.id, on)
        there = backend.open().vault("notes")
        assert there == replace(before, auto_merge=on)
        assert there.auto_merge is on
        assert metadata.vault_and_head("notes", "a")[0] == there
        assert metadata.vaults() == [there, other]
        assert metadata.transact(vault.id, lambda tx: tx.vault) == there


def test_only_a_vault_that_is_there_is_told_to_merge(metadata: Metadata, vault: Vault) -> None:
    metadata.remove_vault(vault.id)
    with pytest.raises(NotFound):
        metadata.set_auto_merge(vault.id, True)


def test_a_member_is_removed_once(metadata: Metadata, vault: Vault) -> None:
    metadata.set_member(vault.id, "you", "read")
    metadata.remove_member(vault.id, "you")
    assert members(metadata) == {"me": "owner"}
    with pytest.raises(NotFound):
        metadata.remove_member(vault.id, "you")


def test_whoever_was_made_an_owner_unasked_is_removed_in_one_step(metadata: Metadata, vault: Vault) -> None:
    """`you` made vaults, made `me` their owner, and left; the heir has what nobody else owns, and only that."""
    metadata.add_user("anna", "$a$")
    unasked = [metadata.create_vault(f"unasked-{number:02d}", "you") for number in range(12)]
    for one in unasked:
        metadata.set_member(one.id, "me", "owner")
        metadata.remove_member(one.id, "you")
    metadata.set_member(unasked[0].id, "anna", "read")
    shared = metadata.create_vault("shared", "you")
    metadata.set_member(shared.id, "me", "owner")
    with pytest.raises(LastOwner, match=r"last owner of notes, .*unasked-08 and 3 more: .*--vaults-to"):
        metadata.remove_user("me")
    assert metadata.remove_user("me", "anna") == ["notes", *(one.name for one in unasked)]
    assert metadata.user("me") is None
    assert {one.name for one in metadata.vaults("anna")} == {"notes", *(one.name for one in unasked)}
    assert all(one.members == {"anna": "owner"} for one in metadata.vaults("anna"))
    assert [(one.name, one.members) for one in metadata.vaults("you")] == [("shared", {"you": "owner"})]


@pytest.mark.parametrize("heir", ["nobody", "me"])
def test_a_vault_has_no_heir_who_does_not_exist_or_is_removed(metadata: Metadata, vault: Vault, heir: str) -> None:
    with pytest.raises((NotFound, LastOwner)):
        metadata.remove_user("me", heir)
    assert metadata.user("me") is not None
    assert members(metadata) == {"me": "owner"}


def test_a_vault_keeps_an_owner(metadata: Metadata, vault: Vault) -> None:
    """The last one is neither removed nor made less; with another owner both go."""
    metadata.set_member(vault.id, "you", "write")
    with pytest.raises(LastOwner):
        metadata.remove_member(vault.id, "me")
    with pytest.raises(LastOwner):
        metadata.set_member(vault.id, "me", "write")
    metadata.set_member(vault.id, "me", "owner")
    assert members(metadata) == {"me": "owner", "you": "write"}
    metadata.set_member(vault.id, "you", "owner")
    metadata.set_member(vault.id, "me", "read")
    assert members(metadata) == {"me": "read", "you": "owner"}


def test_a_removed_vault_reads_as_an_empty_log(metadata: Metadata, vault: Vault) -> None:
    put, _ = append(metadata, vault.id, ("a", "A"), ("b", "B"))
    candidate = Candidate(1, "me", "laptop", hash_of("C"), 1, None, 1)
    metadata.transact(vault.id, lambda tx: tx.save_conflict(Conflict("c1", "a", None, 1, (candidate,))))
    metadata.remove_vault(vault.id)
    assert metadata.vault("notes") is None
    assert metadata.heads(vault.id, ["a"]) == {}
    assert metadata.find(vault.id, [("a", put.stamp)]) == {}
    assert not metadata.has_stamp(vault.id, put.stamp)
    assert metadata.changes(vault.id, 0, 10) == []
    assert metadata.live(vault.id, at=put.stamp, limit=10) == []
    assert metadata.listing(vault.id, at=put.stamp, after="", limit=10) == ([], None)
    assert metadata.history(vault.id, "a", before=None, limit=10) == []
    assert metadata.conflict(vault.id, "c1") is None
    assert metadata.open_conflicts(vault.id) == []
    with pytest.raises(NotFound):
        metadata.transact(vault.id, lambda tx: tx.append([], Totals()))
    with pytest.raises(NotFound):
        metadata.remove_vault(vault.id)


def test_a_vault_made_again_under_the_name_is_another_vault(metadata: Metadata, vault: Vault) -> None:
    append(metadata, vault.id, ("a", "A"))
    metadata.remove_vault(vault.id)
    again = metadata.create_vault("notes", "you")
    assert again.id != vault.id
    assert again.epoch != vault.epoch
    assert again.clock == 0
    assert metadata.changes(again.id, 0, 10) == []


# -- restoring and purging


def test_the_purge_mark_only_rises(metadata: Metadata, vault: Vault) -> None:
    for mark, expected in ((50, 50), (20, 50), (60, 60)):
        metadata.set_purge_mark(vault.id, mark)
        there = metadata.vault("notes")
        assert there is not None
        assert there.purge_mark == expected


def test_a_restored_vault_has_a_new_epoch_and_its_log(metadata: Metadata, vault: Vault) -> None:
    versions = append(metadata, vault.id, ("a", "A"))
    epoch = metadata.renew_epoch(vault.id)
    there = metadata.vault("notes")
    assert there is not None
    assert there.epoch == epoch != vault.epoch
    assert there.id == vault.id
    assert metadata.changes(vault.id, 0, 10) == versions


def test_a_vault_remembers_between_which_stamps_it_lost_what_was_committed(metadata: Metadata, vault: Vault) -> None:
    """Each time that it was restored, and those who ask for facts hear of it."""
    before = [metadata.aging().clock().now]
    clocks = []
    for path in "ab":
        clocks.append(append(metadata, vault.id, (path, "A"))[0].stamp)
        metadata.renew_epoch(vault.id)
        before.append(metadata.aging().clock().now)
    there = metadata.vault("notes")
    assert there is not None
    assert [after for after, _ in there.lapses] == clocks
    assert all(clock <= until <= now for (clock, until), now in zip(there.lapses, before[1:], strict=True))
    (later,) = append(metadata, vault.id, ("c", "A"))
    assert later.stamp > there.lapses[-1][1]
    assert metadata.facts(vault.id, [Query("d", 5)])["d"].lapses == there.lapses
    assert metadata.renew_epoch(f"{7:016x}"), "nothing happens for a vault that is not there"


# -- how many


def test_one_person_owns_no_more_vaults_than_may_be(metadata: Metadata) -> None:
    for number in range(3):
        metadata.create_vault(f"v{number}", "me", 3)
    with pytest.raises(TooMany):
        metadata.create_vault("v3", "me", 3)
    assert metadata.vault("v3") is None
    with pytest.raises(NameTaken):
        metadata.create_vault("v2", "me", 3)
    assert metadata.create_vault("v3", "you", 3).members == {"you": "owner"}
    assert metadata.create_vault("v4", "me").members == {"me": "owner"}, "without a limit there is none"


def test_a_vault_that_is_given_away_counts_for_its_new_owner(metadata: Metadata) -> None:
    """Else whoever makes vaults, gives them away and leaves could make any number."""
    vaults = [metadata.create_vault(f"v{number}", "me", 2) for number in range(2)]
    theirs = metadata.create_vault("theirs", "you", 2)
    metadata.set_member(vaults[0].id, "you", "owner", 2)
    metadata.set_member(vaults[0].id, "you", "owner", 2)
    metadata.set_member(vaults[1].id, "you", "write", 2)
    with pytest.raises(TooMany):
        metadata.set_member(vaults[1].id, "you", "owner", 2)
    metadata.remove_vault(theirs.id)
    metadata.set_member(vaults[1].id, "you", "owner", 2)
    metadata.remove_member(vaults[1].id, "me")
    assert metadata.create_vault("next", "me", 2).members == {"me": "owner"}


def test_vaults_that_are_made_at_once_are_counted_all_the_same(backend: Backend, metadata: Metadata) -> None:
    made, refused = list[str](), list[str]()

    def make(number: int) -> None:
        try:
            made.append(backend.open().create_vault(f"v{number}", "me", 3).name)
        except TooMany:
            refused.append(f"v{number}")

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (3, 5)
    assert len(metadata.vaults("me")) == 3
