"""Who may not watch any more is told so at once, or within a sweep where nobody told the server."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from store.commit import Batch, commit
from store.sqlite import SqliteMetadata
from sync.judge import Write
from tests.live.peer import Peer, Refused, Vault, basic
from tests.server import USER, GobiServer

NEVER = {"GOBI_SWEEP_S": "3600"}


def member(vault: Vault, name: str = "you", role: str = "read") -> Peer:
    """Somebody else's socket."""
    user, password = vault.server.add_user(name)
    vault.ask("PUT", f"/members/{user}", json.dumps({"role": role}).encode())
    return vault.greeted(Authorization=basic(user, password))


def others_hear(vault: Vault, *peers: Peer) -> bool:
    vault.put("after.md")
    return all(peer.paths(1) == ["after.md"] for peer in peers)


def test_a_removed_member_is_closed_with_1008_at_once(open_vault: Callable[..., Vault]) -> None:
    vault = open_vault(**NEVER)
    mine, yours = vault.greeted(), member(vault)
    vault.ask("DELETE", "/members/you")
    assert yours.close_code() == 1008
    assert others_hear(vault, mine)


def test_a_member_with_another_role_stays(open_vault: Callable[..., Vault]) -> None:
    vault = open_vault(**NEVER)
    yours, theirs = member(vault, "you", "write"), member(vault, "they")
    vault.ask("PUT", "/members/you", b'{"role": "read"}')
    vault.ask("DELETE", "/members/they")
    assert theirs.close_code() == 1008
    assert others_hear(vault, yours)


def test_a_removed_vaults_sockets_are_closed_with_1008(open_vault: Callable[..., Vault]) -> None:
    vault = open_vault(**NEVER)
    other = vault.another()
    peer, elsewhere = vault.greeted(), other.greeted()
    vault.ask("DELETE", f"?confirm={vault.name}")
    assert peer.close_code() == 1008
    vault.ask("PUT", "")  # another vault of the same name
    assert others_hear(other, elsewhere)
    assert others_hear(vault, vault.greeted())


def device(server: GobiServer, name: str, user: str = USER) -> str:
    """The Authorization of a device of the user's."""
    done = server.gobi("user", "token", "add", user, name)
    return basic(user, done.stdout.split("Password: ")[1].split()[0])


def test_a_revoked_devices_sockets_are_closed_with_1008_at_once_and_the_others_stay(
    open_vault: Callable[..., Vault],
) -> None:
    vault = open_vault(**NEVER)
    laptop, phone = device(vault.server, "laptop"), device(vault.server, "phone")
    mine, theirs = vault.greeted(), vault.greeted(Authorization=phone)
    lost = [vault.greeted(Authorization=laptop) for _ in range(2)]
    request = urllib.request.Request(
        vault.server.url + "/v1/devices/laptop", headers={"Authorization": basic()}, method="DELETE"
    )
    urllib.request.urlopen(request).close()
    assert [peer.close_code() for peer in lost] == [1008, 1008]
    with pytest.raises(Refused) as refused:
        vault.watch(Authorization=laptop)
    assert (refused.value.status, refused.value.code) == (401, "unauthorized")
    assert others_hear(vault, mine, theirs)


def sign_in(server: GobiServer) -> str:
    """A session's cookie."""
    request = urllib.request.Request(f"{server.url}/v1/session", headers={"Authorization": basic()}, method="POST")
    with urllib.request.urlopen(request) as answer:
        return str(answer.headers["Set-Cookie"]).partition(";")[0]


def test_a_session_that_is_signed_out_takes_its_sockets_along_at_once_and_the_others_stay(
    open_vault: Callable[..., Vault],
) -> None:
    """Every copy of the cookie has ended, so no socket goes on with one."""
    vault = open_vault(**NEVER)
    ended, kept = sign_in(vault.server), sign_in(vault.server)
    lost = [vault.greeted(Authorization=None, Cookie=ended) for _ in range(2)]
    mine, theirs = vault.greeted(), vault.greeted(Authorization=None, Cookie=kept)
    request = urllib.request.Request(vault.server.url + "/v1/session", headers={"Cookie": ended}, method="DELETE")
    urllib.request.urlopen(request).close()
    assert [peer.close_code() for peer in lost] == [1008, 1008]
    with pytest.raises(Refused) as refused:
        vault.watch(Authorization=None, Cookie=ended)
    assert refused.value.status == 401
    assert others_hear(vault, mine, theirs)


def test_a_socket_does_not_begin_with_a_password_that_is_only_remembered(open_vault: Callable[..., Vault]) -> None:
    """On one worker without Redis a command has no way to tell it, and requests may go on for half a minute."""
    vault = open_vault(**NEVER)
    laptop = device(vault.server, "laptop")
    vault.greeted(Authorization=laptop)
    assert vault.server.gobi("user", "token", "revoke", USER, "laptop").returncode == 0
    with pytest.raises(Refused) as refused:
        vault.watch(Authorization=laptop)
    assert (refused.value.status, refused.value.code) == (401, "unauthorized")


@pytest.mark.parametrize("command", ["passwd", "remove", "token"])
def test_a_changed_password_and_a_removed_user_are_found_by_the_sweep(
    open_vault: Callable[..., Vault], command: str
) -> None:
    """On one worker without Redis a command has no way to tell it."""
    vault = open_vault(GOBI_SWEEP_S="1")
    mine, yours = vault.greeted(), member(vault)
    words = {
        "passwd": ("passwd", "you", "--password-file", "-"),
        "remove": ("remove", "you"),
        "token": ("token", "revoke", "you", "laptop"),
    }
    if command == "token":
        yours = vault.greeted(Authorization=device(vault.server, "laptop", "you"))
    done = vault.server.gobi("user", *words[command], input="another one")
    assert done.returncode == 0, done.stderr
    assert yours.close_code() == 1008
    assert others_hear(vault, mine)


def test_what_no_notice_told_of_is_found_by_the_sweep(open_vault: Callable[..., Vault], tmp_path: Path) -> None:
    """A commit by another process on the same database, as after a lost message."""
    vault = open_vault(GOBI_SWEEP_S="1")
    peers = [vault.greeted() for _ in range(3)]
    stamp = vault.put("a.md")["stamp"]
    assert [peer.paths(1) for peer in peers] == [["a.md"]] * 3
    metadata = SqliteMetadata(vault.server.data_dir / "metadata.db")
    delete_silently(metadata, vault.name, "a.md", stamp)
    metadata.close()
    for peer in peers:
        (row,) = peer.message()["changes"]
        assert (row["path"], row["kind"], row["base"]) == ("a.md", "delete", stamp)


def test_a_restored_vaults_sockets_are_told_to_ask(open_vault: Callable[..., Vault]) -> None:
    """Its metadata came from a backup, so that no cursor of before is any good."""
    vault = open_vault(GOBI_SWEEP_S="1")
    peer = vault.greeted()
    metadata = SqliteMetadata(vault.server.data_dir / "metadata.db")
    there = metadata.vault(vault.name)
    assert there is not None
    metadata.renew_epoch(there.id)
    metadata.close()
    assert peer.message() == {"type": "wake", "cursor": vault.cursor()}
    assert others_hear(vault, peer)


def delete_silently(metadata: SqliteMetadata, name: str, path: str, base: int) -> None:
    there = metadata.vault(name)
    assert there is not None
    write = Write(path, "delete", base, "elsewhere", USER)
    metadata.transact(there.id, lambda tx: commit(tx, [Batch([write])]), {path})
