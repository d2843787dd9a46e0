"""A vault with people in it, the server that serves it, and another worker of which that server hears nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from webtest import TestApp, TestResponse

from gobi import create_app
from handlers.exchange import Environ
from ops.settings import Settings
from store.base import Metadata, Role
from store.bodies import DiskBodies
from store.mongo import MongoMetadata
from store.people import device_hash
from sync import invitation
from tests.contract.backends import Backend

PASSWORD = "correct horse"
_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
HASH, OTHER_HASH = _HASHER.hash(PASSWORD), _HASHER.hash("another one")
CONTENT = b"a's second words"
# What looks and changes nothing. Anything else that Metadata has is taken for a write.
LOOKS = {
    "ping", "secret", "identity", "moving", "aging", "user", "users", "vault", "vault_and_head", "vaults", "heads",
    "find", "has_stamp", "changes", "live", "listing", "folder", "recent", "history", "facts", "conflict",
    "open_conflicts",
}  # fmt: skip


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


class Late:
    """Metadata that has something happen, once, right before the next write; or within it, between what it reads and
    what it commits."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self.before: Callable[[], None] | None = None
        self.within: Callable[[], None] | None = None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._metadata, name)
        if name in LOOKS or not callable(method):
            return method

        def write(*arguments: Any, **named: Any) -> Any:
            self._happen("before")
            if name == "transact":
                work = arguments[1]

                def working(tx: Any) -> Any:
                    result = work(tx)
                    self._happen("within")
                    return result

                arguments = (arguments[0], working, *arguments[2:])
            return method(*arguments, **named)

        return write

    def _happen(self, moment: str) -> None:
        act = getattr(self, moment)
        setattr(self, moment, None)
        if act is not None:
            act()


class Slow:
    """A request's body; something happens after its first byte was read."""

    def __init__(self, inner: Any, act: Callable[[], None]) -> None:
        self._inner = inner
        self._act: Callable[[], None] | None = act

    def read(self, *size: int) -> bytes:
        act, self._act = self._act, None
        if act is None:
            read: bytes = self._inner.read(*size)
            return read
        first: bytes = self._inner.read(1)
        act()
        return first


class House:
    """One server, for many scenes. `elsewhere`: another worker's way to the same database."""

    def __init__(self, folder: Path, backend: Backend) -> None:
        self.metadata = Late(backend.open())
        self.elsewhere = backend.open()
        self.writes_together = isinstance(self.elsewhere, MongoMetadata)  # with other workers, not one after another
        self.bodies = folder / "bodies"
        self.during: Callable[[], None] | None = None
        self._application = create_app(
            Settings(data_dir=folder),
            metadata=self.metadata,
            bodies=DiskBodies(self.bodies),
            clock=lambda: 0.0,  # what is remembered stays so
        )
        self.app = TestApp(self._serve, extra_environ={"REMOTE_ADDR": "127.0.0.1"})
        self._numbers = count(1)

    def _serve(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        during, self.during = self.during, None
        if during is not None:
            environ["wsgi.input"] = Slow(environ["wsgi.input"], during)
        return self._application(environ, start_response)

    def scene(self, role: Role | None = "owner", *, device: bool = False) -> Scene:
        return Scene(self, next(self._numbers), role, device=device)


class Scene:
    """The vault of `boss`, in which `who` has a role (None: none).

    `device`: `who` signs in as the device `phone`, with its own password. `other` is in no vault.
    """

    def __init__(self, house: House, number: int, role: Role | None, *, device: bool) -> None:
        self.house = house
        self.number = number
        self.boss, self.who, self.other, self.vault = (f"{kind}{number}" for kind in ("boss", "who", "other", "vault"))
        for name in (self.boss, self.who, self.other):
            house.elsewhere.add_user(name, HASH)
        self.vault_id = house.elsewhere.create_vault(self.vault, self.boss).id
        if role is not None:
            house.elsewhere.set_member(self.vault_id, self.who, role)
        self.device = "phone" if device else None
        if device:
            self.add_device("phone")
        self.address = f"/v1/vaults/{self.vault}"
        self.cookie: str | None = None

    # -- what is in the vault, made when a request needs it

    @cached_property
    def first(self) -> int:
        """The stamp of a.md's first version."""
        stamp: int = self._put("a.md", b"a's first words")["stamp"]
        return stamp

    @cached_property
    def head(self) -> int:
        """The stamp of its second and last."""
        stamp: int = self._put("a.md", CONTENT, If_Match=f'"{self.first}"')["stamp"]
        return stamp

    @cached_property
    def base(self) -> int:
        """The stamp of b.md's first version."""
        stamp: int = self._put("b.md", b"base")["stamp"]
        return stamp

    @cached_property
    def disputed(self) -> int:
        """The stamp of b.md's head."""
        stamp: int = self._put("b.md", b"server's", If_Match=f'"{self.base}"')["stamp"]
        return stamp

    @cached_property
    def conflict(self) -> str:
        """The id of the conflict on it."""
        assert self.disputed
        id: str = self._put("b.md?on_conflict=keep", b"client's", If_Match=f'"{self.base}"')["conflict"]["id"]
        return id

    # -- asking

    def _put(self, tail: str, body: bytes, **headers: str) -> Any:
        sent = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return self.ask("PUT", f"{self.address}/files/{tail}", body, sent, who=self.boss).json

    def ask(
        self, method: str, address: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = (), who: str = ""
    ) -> TestResponse:
        """`who` signs in by their password; left out: the scene's own, as they do; `nobody` does not."""
        who = who or self.who
        password = self.device_password("phone") if who == self.who and self.device else PASSWORD
        self.house.app.reset()  # without the cookies of whoever asked before
        if who == self.who and self.cookie is not None:
            self.house.app.authorization = None
            headers = [*headers, ("Cookie", self.cookie)]
        else:
            self.house.app.authorization = None if who == "nobody" else ("Basic", (who, password))
        return self.house.app._gen_request(method, address, params=body, headers=dict(headers), expect_errors=True)

    def sign_in(self) -> None:
        """From now on `who` asks as a browser does."""
        answer = self.ask("POST", "/v1/session")
        self.cookie = answer.headers["Set-Cookie"].partition(";")[0]

    # -- what happens elsewhere

    def add_device(self, device: str) -> None:
        self.house.elsewhere.add_device(self.who, device, device_hash(self.device_password(device)))

    def device_password(self, device: str) -> str:
        return invitation.device_password(hashlib.sha256(f"{device} {self.number}".encode()).digest()[:20])

    def secret(self, text: str) -> str:
        return invitation.secret(hashlib.sha256(f"{text} {self.number}".encode()).digest()[:20])

    def removed(self) -> None:
        self.house.elsewhere.remove_member(self.vault_id, self.who)

    def demoted(self) -> None:
        vault = self.house.elsewhere.vault(self.vault)
        assert vault is not None
        lower: dict[Role, Role] = {"owner": "write", "write": "read"}
        self.house.elsewhere.set_member(self.vault_id, self.who, lower[vault.members[self.who]])

    def revoked(self) -> None:
        self.house.elsewhere.remove_device(self.who, "phone")

    def signed_out(self) -> None:
        found = self.house.elsewhere.user(self.who)
        assert found is not None
        own = next(one for one in found.sessions if one.agent != "another browser")
        self.house.elsewhere.remove_session(self.who, own.id)

    def password_changed(self) -> None:
        self.house.elsewhere.set_password(self.who, OTHER_HASH, revoke_devices=True)

    def user_removed(self) -> None:
        self.house.elsewhere.remove_user(self.who)

    def lose(self, path: str, content: bytes) -> None:
        """Has the disk lose a body, and somebody find out."""
        digest = sha256(content)
        (self.house.bodies / self.vault_id / digest[:2] / digest[2:]).unlink()
        assert self.ask("GET", f"{self.address}/files/{path}", who=self.boss).status_int == 500

    # -- looking

    def state(self) -> dict[str, Any]:
        """Everything that a refused request must leave as it was."""
        there = self.house.elsewhere
        people = (self.boss, self.who, self.other)
        return {
            "vault": there.vault(self.vault),
            "vaults": [[one.name for one in there.vaults(name)] for name in people],
            "people": [there.user(name) for name in people],
            "invitations": [one for one in there.moving().invitations() if one.user in people],
            "log": there.changes(self.vault_id, 0, 1_000),
            "conflicts": there.open_conflicts(self.vault_id),
            "lost": sorted(str(path) for path in (self.house.bodies / "lost" / self.vault_id).rglob("*")),
        }


def secrets_of(answer: TestResponse) -> Iterator[str]:
    """What in an answer would let somebody in."""
    yield from answer.headers.getall("Set-Cookie")
    if answer.content_type == "application/json" and "code" in json.loads(answer.body):
        yield answer.json["code"]
