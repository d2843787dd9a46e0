"""A move that begins in the middle of somebody else's transaction, at each moment that MongoDB has for that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pymongo
import pytest
from pymongo import monitoring

from store.base import Totals, Transaction
from store.errors import Unavailable
from store.mongo import MongoMetadata
from store.moving import Move
from tests.contract.log import versions_for
from tests.services import ReplicaSet

LEAVING = Move("m1", "leaving", "it is being moved: try again later")


class Interruption(monitoring.CommandListener):
    """Does something once, right before somebody is inserted into `users` of the database `name`."""

    def __init__(self) -> None:
        self.name = ""
        self.then: Callable[[], None] | None = None
        self.pushed_back = threading.Event()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.database_name == self.name and event.command.get("insert") == "users" and self.then:
            then, self.then = self.then, None
            then()

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        if event.database_name == self.name:
            self.pushed_back.set()


INTERRUPTION = Interruption()
monitoring.register(INTERRUPTION)  # for clients made from now on; there is no way to take it back


@pytest.fixture
def metadata(mongo: ReplicaSet, database: str) -> Iterator[MongoMetadata]:
    one = MongoMetadata(mongo.uri, database)
    one.prepare()
    one.add_user("me", "$hash$")
    yield one
    one.close()


def judged_before(metadata: MongoMetadata, mark: Callable[[], None], *about: str) -> list[int]:
    """A change that is judged, then `mark`, and then it is to be committed; how often it was judged."""
    vault = metadata.create_vault("notes", "me")
    tries: list[int] = []

    def work(tx: Transaction) -> None:
        tries.append(tx.vault.clock)
        if len(tries) == 1:
            mark()
        tx.append(versions_for(tx, (("a", "A"),)), Totals())

    with pytest.raises(Unavailable, match="being moved"):
        metadata.transact(vault.id, work, about)
    assert metadata.changes(vault.id, 0, 10) == []
    return tries


@pytest.mark.parametrize("about", [(), ("a",)], ids=["the vault alone", "with its paths"])
def test_a_change_that_was_judged_before_the_move_is_not_committed_after_it(
    metadata: MongoMetadata, about: tuple[str, ...]
) -> None:
    assert len(judged_before(metadata, lambda: metadata.moving().mark(None, LEAVING), *about)) == 1


def test_a_move_that_was_cut_off_in_its_first_step_is_begun_again_and_then_holds(
    metadata: MongoMetadata, mongo: ReplicaSet, database: str
) -> None:
    """The state was written and the vaults were not: somebody may still commit, until the next run."""

    def cut_off() -> None:
        client: pymongo.MongoClient[dict[str, object]]
        with pymongo.MongoClient(mongo.uri) as client:
            state = {"id": LEAVING.id, "state": LEAVING.state, "notice": LEAVING.notice}
            client[database]["meta"].update_one({"_id": "move"}, {"$set": state})
        again = Move("m2", "leaving", LEAVING.notice)
        metadata.moving().mark(LEAVING, again)

    judged_before(metadata, cut_off, "a")


def test_a_person_who_is_being_added_when_the_move_begins_is_there_before_that_or_never(
    metadata: MongoMetadata, database: str
) -> None:
    """The adding has looked whether a move is under way, and has not written yet."""
    seen: list[Any] = []

    def begin() -> None:
        metadata.moving().mark(None, LEAVING)
        seen.append(metadata.users())
        INTERRUPTION.pushed_back.set()

    mover = threading.Thread(target=begin)

    def meanwhile() -> None:
        mover.start()
        assert INTERRUPTION.pushed_back.wait(20), "the move has begun, or has to wait"

    INTERRUPTION.name, INTERRUPTION.then = database, meanwhile
    INTERRUPTION.pushed_back.clear()
    try:
        metadata.add_user("anna", "$a$")
    except Unavailable:
        pass
    mover.join()
    INTERRUPTION.name = ""
    assert [metadata.users()] == seen
