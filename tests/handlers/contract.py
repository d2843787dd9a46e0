"""Whether an answer is one that the server's own OpenAPI document declares, and no field more."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from handlers.openapi.document import document

Json = dict[str, Any]

PROBLEM = "application/problem+json"
# What an answer may not have without saying so.
TELLING = re.compile(r"gobi-.*|etag|retry-after|allow|content-range|content-disposition|set-cookie|upgrade")


class Contract:
    def __init__(self, made: Json) -> None:
        self.document = _strict(made)
        self._addresses = sorted(self.document["paths"], key=lambda address: address.count("{"))
        self._patterns = {address: _pattern(address) for address in self._addresses}
        self._validators: dict[str, Any] = {}

    def operation(self, method: str, path: str) -> Json | None:
        """`path` is decoded and has no query."""
        for address in self._addresses:
            if self._patterns[address].fullmatch(path):
                found: Json | None = self.document["paths"][address].get(method.lower())
                return found
        return None

    def check(self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> str | None:
        """The operation's id. Raises AssertionError. What is no operation is refused in the one shape."""
        operation = self.operation(method, path)
        sent = {one.lower(): value for one, value in headers.items()}
        kind = sent.get("content-type", "").partition(";")[0]
        if operation is None:
            if body and status >= 400:
                self._fits({"$ref": "#/components/schemas/Problem"}, json.loads(body))
            return None
        name: str = operation["operationId"]
        response = operation["responses"].get(str(status))
        assert response is not None, f"{name} does not declare {status}: {body[:500]!r}"
        response = self._resolved(response)
        declared = {one.lower(): self._resolved(header) for one, header in response["headers"].items()}
        for one in sent:
            assert one in declared or not TELLING.fullmatch(one), f"{name} does not declare {one} with {status}"
        for one, header in declared.items():
            assert one in sent or not header.get("required"), f"{name}, {status}: no {one}"
        content = response.get("content", {})
        if not content:
            assert not body, f"{name} declares no content with {status}"
        elif method != "HEAD":
            media = content.get(kind, content.get("*/*"))
            assert media is not None, f"{name} does not declare {kind} with {status}"
            if "schema" in media:
                self._fits(media["schema"], json.loads(body))
        return name

    def _resolved(self, part: Json) -> Json:
        if "$ref" in part:
            _, _, kind, name = part["$ref"].split("/")
            found: Json = self.document["components"][kind][name]
            return found
        return part

    def _fits(self, schema: Json, value: Any) -> None:
        from jsonschema import Draft202012Validator

        key = json.dumps(schema)
        if key not in self._validators:
            self._validators[key] = Draft202012Validator(schema | {"components": self.document["components"]})
        error = next(self._validators[key].iter_errors(value), None)
        assert error is None, f"{error.json_path}: {error.message}"


@cache
def contract() -> Contract:
    return Contract(document())


def _pattern(address: str) -> re.Pattern[str]:
    pattern = re.sub(r"\\{(path|name)\\}", ".+", re.escape(address))
    return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", pattern), re.DOTALL)


def _strict(part: Any) -> Any:
    """Clients have to bear more fields than are declared; a server that sends them has forgotten to declare them."""
    if isinstance(part, list):
        return [_strict(one) for one in part]
    if not isinstance(part, dict):
        return part
    made = {key: _strict(value) for key, value in part.items()}
    if part.get("type") == "object" and "properties" in part:
        made["additionalProperties"] = False
    return made
