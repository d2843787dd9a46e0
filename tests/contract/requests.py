"""A request for every operation that the server has, and whose it is: the rows of the role matrix.

Whoever adds a route adds a row to `ROWS`; `test_who_may.py` fails until then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from handlers.openapi.operation import Door
from store.devices import HOUR_S
from store.people import invitation_hash
from sync import invitation
from tests.contract.scene import CONTENT, Scene, sha256
from tests.store.world import change, parcel


@dataclass(frozen=True)
class Ask:
    """`passes`: how it is answered where whoever asks may; None: by any success."""

    method: str
    address: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    passes: int | None = None


@dataclass(frozen=True)
class Row:
    """`door`: who may. `own_password`: a device's own does not do. `writes`: whether it changes anything that stays."""

    door: Door
    ask: Callable[[Scene], Ask]
    writes: bool = False
    own_password: bool = False


def look(address: str, passes: int | None = None) -> Callable[[Scene], Ask]:
    """`{vault}` is the scene's vault."""
    return lambda scene: Ask("GET", address.replace("{vault}", scene.address), passes=passes)


def send(method: str, address: str, body: Any = None, passes: int | None = None, **headers: str) -> Any:
    """`body` as JSON; `headers` with `_` for `-`."""
    sent = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda scene: Ask(method, address.replace("{vault}", scene.address), data, sent, passes)


def page_file(scene: Scene) -> Ask:
    found = re.search(r"web/[^\"']+\.js", scene.ask("GET", "/").text)
    assert found is not None
    return Ask("GET", f"/{found[0]}")


def put_file(scene: Scene) -> Ask:
    return Ask("PUT", f"{scene.address}/files/new.md", b"mine")


def candidate(scene: Scene) -> Ask:
    assert scene.head
    return Ask("PUT", f"{scene.address}/files/a.md?on_conflict=keep", b"mine")


def edit_file(scene: Scene) -> Ask:
    return Ask("PUT", f"{scene.address}/files/a.md", b"mine", (("If-Match", f'"{scene.head}"'),))


def delete_file(scene: Scene) -> Ask:
    return Ask("DELETE", f"{scene.address}/files/a.md", headers=(("If-Match", f'"{scene.head}"'),))


def push(scene: Scene) -> Ask:
    body = parcel([change("new.md", b"mine")], [("new.md", b"mine")])
    return Ask("POST", f"{scene.address}/push", body, (("Content-Type", "application/x-tar"),))


def pull(scene: Scene) -> Ask:
    wanted = {"files": [{"path": "a.md", "stamp": scene.head}]}
    return Ask("POST", f"{scene.address}/pull", json.dumps(wanted).encode())


def restore(scene: Scene) -> Ask:
    wanted = {"path": "a.md", "stamp": scene.first, "head": scene.head}
    return Ask("POST", f"{scene.address}/restore", json.dumps(wanted).encode())


def undo(scene: Scene) -> Ask:
    assert scene.head
    return Ask("POST", f"{scene.address}/restore", json.dumps({"since": scene.first, "prefix": "a.md"}).encode())


def a_file(address: str) -> Callable[[Scene], Ask]:
    def ask(scene: Scene) -> Ask:
        assert scene.head
        return Ask("GET", f"{scene.address}/{address}")

    return ask


def conflict(tail: str) -> Callable[[Scene], Ask]:
    return lambda scene: Ask("GET", f"{scene.address}/conflicts/{scene.conflict}{tail}")


def resolve(scene: Scene) -> Ask:
    id, choice = scene.conflict, {"keep": "client", "head": scene.disputed}
    return Ask("POST", f"{scene.address}/conflicts/{id}/resolve", json.dumps(choice).encode())


def give_back(scene: Scene) -> Ask:
    assert scene.head
    scene.lose("a.md", CONTENT)
    return Ask("PUT", f"{scene.address}/lost/{sha256(CONTENT)}", CONTENT)


def redeem(scene: Scene) -> Ask:
    secret = invitation.secret(bytes(range(20)))
    scene.house.elsewhere.add_invitation(invitation_hash(scene.secret(secret)), scene.who, scene.vault_id, HOUR_S)
    wanted = {"secret": scene.secret(secret), "device": "tablet", "password": scene.device_password("tablet")}
    return Ask("POST", "/v1/invitations/redeem", json.dumps(wanted).encode())


def revoke_device(scene: Scene) -> Ask:
    scene.add_device("old")
    return Ask("DELETE", "/v1/devices/old")


def end_session(scene: Scene) -> Ask:
    """Of another browser of the same person."""
    made = scene.house.elsewhere.add_session(scene.who, f"{scene.number:016x}", None, "another browser", HOUR_S)
    return Ask("DELETE", f"/v1/sessions/{made.id}")


def create_vault(scene: Scene) -> Ask:
    return Ask("PUT", f"/v1/vaults/{scene.who}s")


def remove_vault(scene: Scene) -> Ask:
    return Ask("DELETE", f"{scene.address}?confirm={scene.vault}")


def set_member(scene: Scene) -> Ask:
    return Ask("PUT", f"{scene.address}/members/{scene.other}", b'{"role": "write"}')


def remove_member(scene: Scene) -> Ask:
    scene.house.elsewhere.set_member(scene.vault_id, scene.other, "read")
    return Ask("DELETE", f"{scene.address}/members/{scene.other}")


# What each command of `gobi` writes by, in the words of `ROWS`; OPERATOR: straight to the database, by whoever runs the
# server, whom no role holds back.
OPERATOR = "operator"
SYNCING = {"putFile", "putFile candidate", "deleteFile", "push", "giveBack"}
COMMANDS: dict[str, set[str]] = {
    "serve": {OPERATOR},
    "user": {OPERATOR},
    "invite": {OPERATOR},
    "vault": {OPERATOR},
    "backup": {OPERATOR},
    "restore-backup": {OPERATOR},
    "migrate": {OPERATOR},
    "gc": {OPERATOR},
    "check": {OPERATOR},
    "doctor": {OPERATOR},
    "connect": {"redeemInvitation", "createVault"},
    "disconnect": set(),
    "sync": SYNCING,
    "watch": SYNCING,
    "rm": set(),  # the next sync does
    "conflicts": set(),
    "resolve": {"resolve"},
    "history": set(),
    "restore": {"restore"},
    "log": set(),
    "undo": {"restore undo"},
    "verify": set(),
    "status": set(),
}

V = "{vault}"
# By the operation's id in /openapi.json; where there are two ways to use one, with a word behind it.
ROWS: dict[str, Row] = {
    "getPage": Row("open", look("/")),
    "getPageFile": Row("open", page_file),
    "getHealth": Row("open", look("/healthz")),
    "getReadiness": Row("user", look("/readyz")),
    "getMetrics": Row("open", look("/metrics")),
    "getOpenApi": Row("open", look("/openapi.json")),
    "getSession": Row("user", look("/v1/session")),
    "signIn": Row("user", send("POST", "/v1/session"), writes=True),
    "signOut": Row("user", send("DELETE", "/v1/session")),
    "listSessions": Row("user", look("/v1/sessions")),
    "endSession": Row("user", end_session, writes=True, own_password=True),
    "listDevices": Row("user", look("/v1/devices")),
    "revokeDevice": Row("user", revoke_device, writes=True, own_password=True),
    "redeemInvitation": Row("open", redeem, writes=True),
    "listVaults": Row("user", look("/v1/vaults")),
    "getVault": Row("read", look(V)),
    "createVault": Row("user", create_vault, writes=True),
    "changeVault": Row("owner", send("PATCH", V, {"auto_merge": True}), writes=True),
    "removeVault": Row("owner", remove_vault, writes=True),
    "setMember": Row("owner", set_member, writes=True),
    "removeMember": Row("owner", remove_member, writes=True),
    "invite": Row("read", send("POST", V + "/invitations", {}), writes=True, own_password=True),
    "listFiles": Row("read", look(V + "/files")),
    "getFile": Row("read", a_file("files/a.md")),
    "putFile": Row("write", put_file, writes=True),
    "putFile edit": Row("write", edit_file, writes=True),
    "putFile candidate": Row("write", candidate, writes=True),
    "deleteFile": Row("write", delete_file, writes=True),
    "listChanges": Row("read", look(V + "/changes")),
    "sync": Row("read", send("POST", V + "/sync", {"cursor": "0"})),
    "push": Row("write", push, writes=True),
    "pull": Row("read", pull),
    "listLost": Row("write", look(V + "/lost")),
    "giveBack": Row("write", give_back, writes=True),
    "getArchive": Row("read", look(V + "/archive.tar")),
    "listHistory": Row("read", a_file("history/a.md")),
    "restore": Row("write", restore, writes=True),
    "restore undo": Row("write", undo, writes=True),
    "listLog": Row("read", look(V + "/log")),
    "getStamp": Row("read", look(V + "/stamp?time=1")),
    "listConflicts": Row("read", look(V + "/conflicts")),
    "getConflict": Row("read", conflict("")),
    "getSide": Row("read", conflict("/client")),
    "getMerge": Row("read", conflict("/merge")),
    "resolve": Row("write", resolve, writes=True),
    # Without a socket there is no more of it than this; tests/live has the rest.
    "openSocket": Row("user", look(V + "/live", 426)),
}
