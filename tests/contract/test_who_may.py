"""Who may do what: a table with every operation that there is, and every way in which somebody stops being allowed.

What decides is how things stand when a request is committed, whatever its worker remembers: here it hears of nothing
that happens elsewhere, and remembers every login.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from webtest import TestResponse

from gobi import CLIENT_COMMANDS, SERVER_COMMANDS
from handlers.openapi.operations import OPERATIONS
from store.base import RANK, Role
from tests.contract.backends import BACKENDS
from tests.contract.requests import COMMANDS, OPERATOR, ROWS, Ask, Row
from tests.contract.scene import House, Scene, secrets_of

WRITES = sorted(name for name, row in ROWS.items() if row.writes)
CALLERS = ("nobody", "stranger", "read", "write", "owner", "device")
CHANGES = ("removed", "demoted", "revoked", "password_changed", "signed_out", "user_removed")
MOMENTS = ("before", "body", "commit", "within")
# Said here, so that a moment which stops coming is a test that fails.
NO_BODY = {"createVault", "deleteFile", "endSession", "removeMember", "removeVault", "revokeDevice", "signIn"}
IN_ONE_CALL = {  # of the metadata, with nothing between what it reads and what it commits
    "changeVault",
    "createVault",
    "endSession",
    "giveBack",  # commits nothing: its last look is the last moment
    "invite",
    "redeemInvitation",
    "removeMember",
    "removeVault",
    "revokeDevice",
    "setMember",
    "signIn",
}


@pytest.fixture(scope="module", params=sorted(BACKENDS))
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for all scenes: they have people and vaults of their own."""
    folder = tmp_path_factory.mktemp("house")
    mongo: Callable[[], str] = lambda: request.getfixturevalue("mongo").uri  # noqa: E731
    backend = BACKENDS[request.param](folder, mongo)
    yield House(folder, backend)
    backend.close()


def test_every_operation_has_its_row_in_the_table() -> None:
    """A new route without one fails here."""
    doors = {operation.id: operation.door for operation in OPERATIONS}
    assert {name.partition(" ")[0] for name in ROWS} == doors.keys()
    said = {name: row.door for name, row in ROWS.items() if name != "openSocket"}  # it looks at its form first
    assert said == {name: doors[name.partition(" ")[0]] for name in said}


def test_every_operation_that_writes_is_known_to() -> None:
    """By its method, but for those that ask with a body and a sign-out, which needs a session to end."""
    asking = {"sync", "pull", "signOut"}
    by_method = {operation.id for operation in OPERATIONS if operation.writes} - asking
    assert {name.partition(" ")[0] for name in WRITES} == by_method


def test_every_command_is_known_to_write_by_operations_that_are_in_the_table() -> None:
    """A new command without its entry fails here."""
    assert COMMANDS.keys() == SERVER_COMMANDS.keys() | CLIENT_COMMANDS.keys()
    for name, writes_by in COMMANDS.items():
        assert writes_by <= {OPERATOR, *WRITES}
        assert (OPERATOR in writes_by) == (name in SERVER_COMMANDS)


# -- the role matrix


def expected(row: Row, caller: str) -> int | None:
    """The status of the refusal, None where the caller may."""
    if row.door == "open":
        return None
    if caller == "nobody":
        return 401
    if caller == "device" and row.own_password:
        return 403
    if row.door == "user":
        return None
    if caller == "stranger":
        return 404
    role: Role = "owner" if caller == "device" else caller  # type: ignore[assignment]  # the others are roles
    return 403 if RANK[role] < RANK[row.door] else None


@pytest.fixture(scope="module")
def shared(house: House) -> dict[str, Scene]:
    """Scenes by caller, for requests that change nothing."""
    return {caller: scene_for(house, caller) for caller in CALLERS}


def scene_for(house: House, caller: str) -> Scene:
    roles: dict[str, Role | None] = {"read": "read", "write": "write", "owner": "owner", "device": "owner"}
    role = roles.get(caller, "read" if caller == "nobody" else None)
    return house.scene(role, device=caller == "device")


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("name", sorted(ROWS))
def test_the_role_matrix(house: House, shared: dict[str, Scene], name: str, caller: str) -> None:
    row = ROWS[name]
    scene = scene_for(house, caller) if row.writes else shared[caller]
    if name == "redeemInvitation" and caller == "stranger":
        house.elsewhere.set_member(scene.vault_id, scene.who, "read")  # only members have invitations
    asked = row.ask(scene)
    before = scene.state()
    answer = send(scene, asked, who="nobody" if caller == "nobody" else "")
    refusal = expected(row, caller)
    if refusal is not None:
        assert answer.status_int == refusal, answer.text
        assert scene.state() == before
    else:
        assert answer.status_int == asked.passes or answer.status_int < 400, answer.text
        assert (scene.state() != before) == row.writes, "whether it writes is as the table says"


def send(scene: Scene, asked: Ask, who: str = "") -> TestResponse:
    return scene.ask(asked.method, asked.address, asked.body, asked.headers, who)


# -- whoever stops being allowed


def cases() -> Iterator[tuple[str, str, str]]:
    """Every write with every change at every moment that means something to it."""
    for name in WRITES:
        row = ROWS[name]
        for change in CHANGES:
            if name == "redeemInvitation" and change in ("demoted", "revoked", "signed_out"):
                continue  # an invitation is as good for a reader, and no device's or browser's
            if row.door == "user" and change in ("removed", "demoted"):
                continue  # no vault is asked about
            if row.door == "read" and change == "demoted":
                continue
            if name == "signIn" and change == "signed_out":
                continue  # a browser that is signed in begins nothing
            if row.own_password and change == "revoked":
                continue  # refused in any case
            none = {"body"} if name in NO_BODY else set()
            none |= {"within"} if name in IN_ONE_CALL else set()
            yield from ((name, change, moment) for moment in MOMENTS if moment not in none)


@pytest.mark.parametrize(("name", "change", "moment"), list(cases()))
def test_whoever_may_no_longer_write_does_not(house: House, name: str, change: str, moment: str) -> None:
    if moment == "within" and not house.writes_together:
        pytest.skip("whoever writes has the only lock from its first look on")
    row = ROWS[name]
    role: Role = row.door if row.door in ("read", "write", "owner") else "write"
    scene = house.scene(role, device=change == "revoked")
    if change == "signed_out":
        scene.sign_in()
    asked = row.ask(scene)
    after: list[object] = []

    def happen() -> None:
        getattr(scene, change)()
        after.append(scene.state())

    arrange(scene, asked, moment, happen)
    answer = scene.ask(asked.method, asked.address, asked.body, asked.headers)
    house.during = house.metadata.before = house.metadata.within = None
    assert after, "the moment came"
    refusals = {"removed": {404}, "demoted": {403}, "user_removed": {401, 404}}
    assert answer.status_int in ({404} if row.door == "open" else refusals.get(change, {401})), answer.text
    assert list(secrets_of(answer)) == []
    assert scene.state() == after[0]


def arrange(scene: Scene, asked: Ask, moment: str, happen: Callable[[], None]) -> None:
    """Has it happen at that moment, to somebody whose login is remembered."""
    house = scene.house
    assert scene.ask("GET", "/v1/vaults").status_int == 200
    if moment == "before":
        happen()
        reading = scene.ask("GET", "/v1/vaults").status_int
        assert reading == (401 if scene.cookie else 200), "a password is remembered, and good for reading"
    elif moment == "body":
        assert asked.body
        house.during = happen
    elif moment == "commit":
        house.metadata.before = happen
    else:
        house.metadata.within = happen
