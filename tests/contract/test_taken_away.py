"""What was taken away is gone at the moment at which that is acknowledged: nothing is committed by it any more."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from store.base import Identity, Metadata, Vault
from store.bus import LocalBus
from store.commit import Batch
from store.errors import Forbidden, NotFound, StoreError, Unauthorized
from store.groups import GroupCommit
from sync.judge import Write
from tests.contract.backends import Backend
from tests.contract.log import hash_of

WORKERS, WRITERS = 2, 2
PATIENCE_S = 60
BY_PASSWORD = Identity("you", None, "$hash of you$")
BY_DEVICE = Identity("you", "phone", "p" * 64)
BY_SESSION = Identity("you", None, "$hash of you$", "0" * 16)

CHANGES: dict[str, tuple[Identity, type[StoreError], Callable[[Metadata, Vault], object]]] = {
    "removed": (BY_PASSWORD, NotFound, lambda metadata, vault: metadata.remove_member(vault.id, "you")),
    "demoted": (BY_PASSWORD, Forbidden, lambda metadata, vault: metadata.set_member(vault.id, "you", "read")),
    "password changed": (BY_PASSWORD, Unauthorized, lambda metadata, _: metadata.set_password("you", "$new$")),
    "device revoked": (BY_DEVICE, Unauthorized, lambda metadata, _: metadata.remove_device("you", "phone")),
    "session ended": (BY_SESSION, Unauthorized, lambda metadata, _: metadata.remove_session("you", "0" * 16)),
    "user removed": (BY_PASSWORD, Unauthorized, lambda metadata, _: metadata.remove_user("you")),
    "renamed": (BY_PASSWORD, Unauthorized, lambda metadata, _: metadata.rename_user("you", "they")),
}


def put(path: str) -> Write:
    return Write(path, "put", None, "d", "you", hash_of(path), 1)


@pytest.fixture
def shared(metadata: Metadata, vault: Vault) -> Vault:
    """`you` may write in it, by a password, a device and a session."""
    metadata.set_member(vault.id, "you", "write")
    metadata.add_device("you", "phone", "p" * 64)
    metadata.add_session("you", "0" * 16, None, "browser", 3600)
    return vault


class Writers:
    """Several workers, each with several requests at a time, until they are refused."""

    def __init__(self, backend: Backend, vault: Vault, who: Identity) -> None:
        self._vault_id, self._who = vault.id, who
        self.refusals: list[Exception] = []
        self.wrote = threading.Semaphore(0)
        groups = [GroupCommit(backend.open(), LocalBus()) for _ in range(WORKERS)]
        jobs = [(one, f"{number}-{writer}") for number, one in enumerate(groups) for writer in range(WRITERS)]
        self._threads = [threading.Thread(target=self._write, args=job) for job in jobs]
        for thread in self._threads:
            thread.start()

    def _write(self, group: GroupCommit, name: str) -> None:
        for number in range(10_000):
            try:
                group.commit(self._vault_id, Batch([put(f"{name}/{number}")], by=self._who))
                self.wrote.release()
            except StoreError as error:
                self.refusals.append(error)
                return

    def join(self) -> None:
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_is_committed_once_it_is_acknowledged(
    backend: Backend, metadata: Metadata, shared: Vault, change: str
) -> None:
    who, error, happen = CHANGES[change]
    writers = Writers(backend, shared, who)
    for _ in range(2 * WORKERS * WRITERS):
        assert writers.wrote.acquire(timeout=PATIENCE_S)
    happen(metadata, shared)
    there = metadata.vault(shared.name)
    writers.join()
    assert there is not None
    assert metadata.changes(shared.id, there.clock, 10) == []
    assert {type(one) for one in writers.refusals} == {error}


@pytest.mark.parametrize("change", CHANGES)
def test_of_requests_that_are_committed_together_only_those_who_may_not_are_refused(
    metadata: Metadata, shared: Vault, change: str
) -> None:
    """While the first commit waits, three requests queue up behind it."""
    who, error, happen = CHANGES[change]
    at_work, go_on = threading.Event(), threading.Event()
    mine = Identity("me", None, "$hash of me$")
    transact = metadata.transact

    def waiting(*arguments: object) -> object:
        at_work.set()
        assert go_on.wait(PATIENCE_S)
        return transact(*arguments)  # type: ignore[arg-type]

    metadata.transact = waiting  # type: ignore[method-assign,assignment]
    groups = GroupCommit(metadata, LocalBus())
    results: dict[str, object] = {}

    def write(path: str, by: Identity) -> None:
        try:
            (outcome,), _ = groups.commit(shared.id, Batch([put(path)], by=by))
            results[path] = outcome.verdict.name
        except StoreError as refusal:
            results[path] = type(refusal)

    threads = [threading.Thread(target=write, args=job) for job in (("a", mine), ("b", mine), ("c", who), ("d", mine))]
    threads[0].start()
    assert at_work.wait(PATIENCE_S)
    for thread in threads[1:]:
        thread.start()
    happen(metadata, shared)
    go_on.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert results == {"a": "STORE", "b": "STORE", "c": error, "d": "STORE"}
    assert sorted(metadata.heads(shared.id, ["a", "b", "c", "d"])) == ["a", "b", "d"]
