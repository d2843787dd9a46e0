"""The application on a real database and a real disk, asked without a network in between."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from argon2 import PasswordHasher
from webtest import TestApp, TestResponse

from gobi import create_app
from ops.settings import Settings
from store.bodies import DiskBodies
from store.sqlite import SqliteMetadata
from tests.handlers.contract import contract

PASSWORD = "correct horse"
# As cheap as argon2 gets: what it costs is not what these tests are about.
HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
VAULT = "/v1/vaults/notes"
NOTHING = object()


class Clock:
    """Time as the test says."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Failing:
    """A backend that is real until a test has some of its methods raise."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._errors: dict[str, Exception] = {}

    def fail(self, method: str, error: Exception) -> None:
        self._errors[method] = error

    def mend(self) -> None:
        self._errors.clear()

    def __getattr__(self, name: str) -> Any:
        error = self._errors.get(name)
        return self._raiser(error) if error else getattr(self._inner, name)

    @staticmethod
    def _raiser(error: Exception) -> Any:
        def method(*_: object, **__: object) -> None:
            raise error

        return method


class Person:
    """Somebody who asks. Answers come back whatever their status, and are ones that /openapi.json declares."""

    def __init__(self, site: Site, name: str | None) -> None:
        self.app = TestApp(site.application)
        self.name = name
        if name is not None:
            self.app.authorization = ("Basic", (name, PASSWORD))

    def ask(self, method: str, url: str, body: Any = None, **headers: str) -> TestResponse:
        """`body`: bytes, or anything else as JSON. `If_Match="…"` is the header If-Match."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        params = json.dumps(body).encode() if body is not None and not isinstance(body, bytes) else body or b""
        answer = self.app._gen_request(method, url, params=params, headers=sent, expect_errors=True)
        path = answer.request.environ["PATH_INFO"]
        contract().check(method, path, answer.status_int, answer.headers, answer.body)
        return answer

    def get(self, url: str, **headers: str) -> TestResponse:
        return self.ask("GET", url, **headers)

    def post(self, url: str, body: Any, **headers: str) -> TestResponse:
        return self.ask("POST", url, body, **headers)

    def put(self, path: str, body: bytes, base: Any = NOTHING, query: str = "", **headers: str) -> TestResponse:
        """A file of the vault `notes`."""
        if base is not NOTHING:
            headers |= {"If_None_Match": "*"} if base is None else {"If_Match": f'"{base}"'}
        return self.ask("PUT", file(path) + query, body, **headers)

    def delete(self, path: str, base: int) -> TestResponse:
        return self.ask("DELETE", file(path), If_Match=f'"{base}"')


class Site:
    """A server with the users `me` and `you`, or no `users`, and the vault `notes` that is mine."""

    def __init__(self, folder: Path, *, users: Sequence[str] = ("me", "you"), **settings: Any) -> None:
        self.settings = Settings(data_dir=folder, **settings)
        self.metadata = Failing(SqliteMetadata(folder / "metadata.db"))
        self.bodies = Failing(DiskBodies(folder / "bodies"))
        self.clock = Clock()
        self.application = create_app(self.settings, metadata=self.metadata, bodies=self.bodies, clock=self.clock)
        for name in users:
            self.metadata.add_user(name, HASH)
        self.vault_id = self.metadata.create_vault("notes", "me").id if users else ""
        self.me = Person(self, "me")

    def person(self, name: str | None) -> Person:
        return Person(self, name)

    def state(self, *, orphans: bool) -> dict[str, Any]:
        """Everything that a refused request must leave as it was. `orphans`: but for bodies that nothing refers to."""
        bodies = self.settings.data_dir / "bodies"
        return {
            "vaults": self.metadata.vaults(),
            "users": self.metadata.users(),
            "invitations": self.metadata.moving().invitations(),
            "log": self.metadata.changes(self.vault_id, 0, 10_000),
            "conflicts": self.metadata.open_conflicts(self.vault_id),
            "bodies": sorted(path for path in (bodies / "tmp" if orphans else bodies).rglob("*") if path.is_file()),
        }

    @contextmanager
    def unchanged(self, *, orphans: bool = False) -> Iterator[None]:
        before = self.state(orphans=orphans)
        yield
        self.metadata.mend()
        self.bodies.mend()
        assert self.state(orphans=orphans) == before


def file(path: str) -> str:
    return f"{VAULT}/files/{quote(path)}"


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def refused(answer: TestResponse, status: int, code: str) -> dict[str, Any]:
    """The problem, after a look at status and code."""
    assert (answer.status_int, answer.json["code"]) == (status, code), answer.text
    problem: dict[str, Any] = answer.json
    return problem
