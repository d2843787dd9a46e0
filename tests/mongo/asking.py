"""Requests of which a test expects a refusal."""

from __future__ import annotations

import base64
import http.client
import json
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.e2e.machines import House
from tests.server import PASSWORD, USER

# More than a request may take while the database hangs; less than for ever.
BOUND_S = 25
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["code"])


def ask(house: House, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
    """One request to the vault, whatever the answer is. Fails where none comes within a bound."""
    sent = {"Authorization": BASIC, "Gobi-Device": "test"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection(*house.server.address, timeout=BOUND_S)
    try:
        connection.request(method, f"/v1/vaults/{house.vault}" + quote(path, safe="/?=&"), body, sent)
        answer = connection.getresponse()
        lower = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status, lower, answer.read())
    finally:
        connection.close()


def put(house: House, path: str, body: bytes, **headers: str) -> Answer:
    return ask(house, "PUT", f"/files/{path}", body, **headers)


def readiness(house: House) -> dict[str, str]:
    """What one worker says of its parts, each "ok" or what is wrong with it."""
    connection = http.client.HTTPConnection(*house.server.address, timeout=BOUND_S)
    try:
        connection.request("GET", "/readyz", headers={"Authorization": BASIC})
        checks: dict[str, str] = json.loads(connection.getresponse().read())["checks"]
        return checks
    finally:
        connection.close()


def alive(house: House) -> bool:
    """Whether the process answers what needs no database."""
    connection = http.client.HTTPConnection(*house.server.address, timeout=BOUND_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    finally:
        connection.close()
