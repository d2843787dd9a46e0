"""Three machines do whatever people do, in any order, over a network that loses replies: nothing is lost, all agree.

The machines are in memory. Where their vault is, and how they reach it, is left to whoever makes `ThreeClients`.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

from hypothesis import event, note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from client.ports import ServerAway
from store.errors import Refused
from store.settle import Choice
from sync.model import Conflict
from tests.client.direct import Server
from tests.client.machines import MemoryMachine
from tests.client.one_vault import OneVault
from tests.server import USER

NAMES = ("laptop", "desktop", "phone")
# Files that cannot be folders at the same time, and a folder two deep.
PATHS = ("a", "a/b", "a/c", "n.md", "n.md/x", "d/e/f")
ROUNDS = 12


machines = st.sampled_from(NAMES)
pairs = st.sampled_from(list(permutations(NAMES, 2)))
paths = st.sampled_from(PATHS)
# Some contents come up again and again (renames, equal edits, empty files), most are their author's own.
contents = st.sampled_from([b"", b"one", b"two"]) | st.none()
pages = st.sampled_from([3, 3, 5000])
moments = st.integers(0, 4)
keeps = st.sampled_from(["server", "client", "both", "merged"])


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class ThreeClients(RuleBasedStateMachine):
    """`make` gives an empty vault; it may keep files in the folder that it is given."""

    def __init__(self, make: Callable[[Path], OneVault]) -> None:
        super().__init__()
        self._make = make

    @initialize()
    def begin(self) -> None:
        self._folder = Path(tempfile.mkdtemp())
        self.server = self._make(self._folder)
        self.machines = {name: MemoryMachine(self.server, name) for name in NAMES}
        self.written = 0
        self.discarded: set[str] = set()  # contents that a person overwrote
        # Everything that a machine learned to be on the server: it has to stay there.
        self.acknowledged: set[str] = set()
        # What the operator took from there: by a collection, or by that or a restore.
        self.purged: set[str] = set()
        self.gone: set[str] = set()

    # -- what people do

    @rule(who=machines, path=paths, content=contents)
    def write(self, who: str, path: str, content: bytes | None) -> None:
        self.written += 1
        before = self.machines[who].files()
        self.machines[who].write(path, b"%d by %s" % (self.written, who.encode()) if content is None else content)
        after = self.machines[who].files()
        self.discarded |= {digest(old) for old in before.values()} - {digest(now) for now in after.values()}

    @rule(who=machines, pick=st.integers(0, 99))
    def delete_while_gobi_does_not_run(self, who: str, pick: int) -> None:
        if path := self._pick(who, pick):
            self.machines[who].delete(path)

    @rule(who=machines, pick=st.integers(0, 99))
    def delete_with_gobi(self, who: str, pick: int) -> None:
        if path := self._pick(who, pick):
            self._watched(who, lambda: self.machines[who].rm(path), trash=True)

    @rule(who=machines, pick=st.integers(0, 99), to=paths)
    def rename(self, who: str, pick: int, to: str) -> None:
        path = self._pick(who, pick)
        if path and path != to:
            self.machines[who].move(path, to)

    @rule(pick=st.integers(0, 99), keep=keeps)
    def settle_a_conflict(self, pick: int, keep: str) -> None:
        conflicts = self.server.conflicts()
        if conflicts:
            event(f"settled: {keep}")
            self._settle(conflicts[pick % len(conflicts)], keep, pick)

    @rule(who=machines, path=paths, edits=st.sampled_from([2, 3, 4, 12]), pick=st.integers(0, 99), keep=keeps)
    def settle_a_conflict_in_which_a_machine_has_several_edits(
        self, who: str, path: str, edits: int, pick: int, keep: str
    ) -> None:
        """The outcome is what everybody has then, its author too."""
        others = [name for name in NAMES if name != who]
        for name in (who, *others):
            self._watched(name, self.machines[name].sync)
        self.write(others[0], path, None)
        self.write(who, path, None)
        self._watched(others[0], self.machines[others[0]].sync)
        self._watched(who, self.machines[who].sync)
        for _ in range(edits - 1):
            self.write(who, path, None)
            self._watched(who, self.machines[who].sync)
        conflicts = [one for one in self.server.conflicts() if one.path == path]
        if len(conflicts) != 1 or len(conflicts[0].candidates) < 2:
            return  # in something's way, or settled by equal bytes
        event(f"settled among several: {keep}")
        self._settle(conflicts[0], keep, pick)
        outcome = self.server.files().get(path)
        for name in (who, *others):
            self._watched(name, self.machines[name].sync)
        if not [one for one in self.server.conflicts() if one.path == path]:
            assert self.server.files().get(path) == outcome, "the settlement was undone"

    # -- what gobi does

    @rule(who=machines, page=pages, propagate=st.booleans())
    def sync(self, who: str, page: int, propagate: bool) -> None:
        self.machines[who].chunk = page
        self._watched(who, lambda: self.machines[who].sync(propagate_deletes=propagate))

    @rule(who=machines, page=pages, moment=moments, when=st.sampled_from(["before", "after"]))
    def sync_and_lose_a_reply(self, who: str, page: int, moment: int, when: str) -> None:
        def lose() -> None:
            event(f"lost: {when}")
            raise ServerAway("the connection was cut")

        self._sync_with(who, page, moment, when, lose)

    @rule(
        who=machines, other=machines, page=pages, moment=moments, when=st.sampled_from(["before", "after"]), path=paths
    )
    def sync_while_another_machine_edits_and_syncs(
        self, who: str, other: str, page: int, moment: int, when: str, path: str
    ) -> None:
        def edit_and_sync() -> None:
            self.write(other, path, None)
            self._watched(other, self.machines[other].sync)

        if other != who:
            self.write(who, "mine", None)  # so that there is something to send
            self._sync_with(who, page, moment, when, edit_and_sync)

    @rule(who=machines, page=pages, moment=moments, path=paths)
    def sync_while_somebody_types(self, who: str, page: int, moment: int, path: str) -> None:
        self._sync_with(who, page, moment, "after", lambda: self.write(who, path, None))

    @rule(two=pairs, path=paths, first=st.sampled_from(["delete", "edit", "neither"]), moment=moments)
    def one_deletes_what_another_edits(self, two: tuple[str, str], path: str, first: str, moment: int) -> None:
        """Both have the file, and neither knows what the other does. `first`: whose sync is over before the other's."""
        deleter, editor = two

        def sync(who: str) -> None:
            self._watched(who, self.machines[who].sync)

        def delete() -> None:
            self._watched(deleter, lambda: self.machines[deleter].rm(path), trash=True)

        def delete_and_sync() -> None:
            delete()
            sync(deleter)

        self.write(editor, path, None)
        sync(editor)
        sync(deleter)
        if path not in self.machines[deleter].files():
            return  # it is in conflict, or in something's way
        event(f"edit and delete meet: {first} first")
        self.write(editor, path, None)
        if first == "delete":
            delete_and_sync()
            sync(editor)
        elif first == "edit":
            delete()
            sync(editor)
            sync(deleter)
        else:
            self._sync_with(editor, 5000, moment, "after", delete_and_sync)

    # -- what the operator does, where the database is in our hands

    @rule()
    def save_the_database(self) -> None:
        if isinstance(self.server, Server):
            self.server.save()

    @rule()
    def put_the_database_back(self) -> None:
        """What was committed since is not on the server any more; whoever has it brings it back."""
        before = self._on_server()
        if isinstance(self.server, Server) and self.server.put_back():
            event("put back")
            self.gone |= before - self._on_server()
            self.acknowledged -= self.gone

    @rule()
    def collect_what_was_superseded(self) -> None:
        if not isinstance(self.server, Server):
            return
        self.server.days_later(3)
        before = self._on_server()
        self.server.collect()
        purged = before - self._on_server()
        event("collected something" if purged else "collected nothing")
        self.purged |= purged
        self.gone |= purged
        self.acknowledged -= self.gone

    @rule(who=machines)
    def lose_the_clients_state(self, who: str) -> None:
        self.machines[who].lose_state()

    def _sync_with(self, who: str, page: int, moment: int, when: str, act: Callable[[], object]) -> None:
        """One sync in which `act` happens at the given moment: so many requests from its beginning."""
        machine, left = self.machines[who], moment

        def meddle(_method: str, now: str) -> None:
            nonlocal left
            if now == when:
                left -= 1
                if left == -1:
                    act()

        machine.chunk = page
        machine.transport.meddle = meddle
        try:
            self._watched(who, machine.sync)
        finally:
            machine.transport.meddle = lambda method, when: None

    # -- what has to hold

    @invariant()
    def what_was_acknowledged_is_there(self) -> None:
        if hasattr(self, "server"):
            gone = self.acknowledged - self._on_server()
            assert not gone, f"acknowledged, and gone: {gone}"

    @invariant()
    def no_live_file_stands_where_another_needs_a_folder(self) -> None:
        if hasattr(self, "server"):
            live = self.server.files()
            assert not [(one, two) for one in live for two in live if two.startswith(one + "/")]

    def teardown(self) -> None:
        if not hasattr(self, "server"):
            return
        try:
            self._converge()
        finally:
            for machine in self.machines.values():
                machine.close()
            self.server.metadata.close()
            shutil.rmtree(self._folder)

    def _converge(self) -> None:
        """Everybody syncs and every conflict is settled, until nobody has news; then all have to hold the same."""
        for _ in range(ROUNDS):
            for name, machine in self.machines.items():
                machine.chunk = 5000
                self._watched(name, machine.sync)
            if not self.server.conflicts() and self._agree():
                break
            while conflicts := self.server.conflicts():  # settling one may settle others
                self._settle(conflicts[0], "client")
        live = self.server.files()
        note(f"server: {live}")
        for name, machine in self.machines.items():
            note(f"{name}: {machine.files()}")
        assert self._agree()
        assert not self.server.conflicts()
        self.what_was_acknowledged_is_there()
        for machine in self.machines.values():
            assert machine.sync().exit_code == 0
            assert not machine.transport.pushed
            assert not machine.transport.pulled

    # -- helpers

    def _pick(self, who: str, pick: int) -> str | None:
        there = sorted(self.machines[who].files())
        return there[pick % len(there)] if there else None

    def _agree(self) -> bool:
        live = self.server.files()
        return all(machine.files() == live for machine in self.machines.values())

    def _settle(self, conflict: Conflict, keep: str, pick: int = -1) -> None:
        """`pick` says which of the candidates, the newest for -1."""
        head = self.server.metadata.heads(self.server.vault.id, [conflict.path])[conflict.path]
        text = "merged by a person" if keep == "merged" else None
        chosen = conflict.candidates[pick % len(conflict.candidates)].n
        try:
            self.server.vaults.resolve(
                self.server.vault,
                conflict.id,
                Choice(keep, head.stamp, "page", USER, chosen, text=text),
                by=self.server.by(),
            )
        except Refused:
            # A file stands in the way by now. Somebody moves the conflict's file out of it.
            event("settled: refused")
            self.server.vaults.resolve(
                self.server.vault, conflict.id, Choice("server", head.stamp, "page", USER), by=self.server.by()
            )

    def _watched(self, who: str, act: Callable[[], object], *, trash: bool = False) -> None:
        """Does something that may take files away, and sees to it that their contents are somewhere.

        The local trash is a last resort: only what a person deleted may be there and nowhere else.
        """
        machine = self.machines[who]
        before = machine.files()
        self.discarded.clear()
        try:
            act()
        except ServerAway:
            pass
        kept = {digest(content) for content in machine.files().values()} | self._on_server()
        if trash:
            # A machine that has not heard yet that the server was put back believes what a person deletes to be there.
            kept |= {digest(content) for content in machine.trash()} | self.gone
        kept |= self.discarded | self.purged
        lost = {path: content for path, content in before.items() if digest(content) not in kept}
        assert not lost, f"{who} had this, and nobody has it any more: {lost}"
        self.acknowledged |= {one.hash for one in machine.index.records.values() if one.stamp is not None} - self.gone

    def _on_server(self) -> set[str]:
        """Every content in the server's history or among the candidates of its conflicts. The bodies are there."""
        metadata, vault = self.server.metadata, self.server.vault
        named = {one.hash for one in metadata.changes(vault.id, 0, 1_000_000) if one.hash}
        named |= {side.hash for conflict in metadata.open_conflicts(vault.id) for side in conflict.candidates}
        for one in named:
            self.server.bodies.open(vault.id, one).close()
        return named
