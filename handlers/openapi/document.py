"""The document, made from the table of operations and the types it names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from handlers.openapi.answers import Problem
from handlers.openapi.operation import HEADERS, IN_ADDRESS, Operation, Parameter, Reply
from handlers.openapi.operations import OPERATIONS
from handlers.openapi.refusals import CARRIES, MEANING, refusals
from handlers.openapi.refusals import HEADERS as REFUSAL_HEADERS
from handlers.session import COOKIE
from sync.model import Json

DESCRIPTION = (
    "A self-hosted server that keeps folders in step. What the words mean is in docs/protocol.md. Fields that are not"
    " known are to be ignored, on both sides. A method that an address does not have is answered by 405"
    " `method-not-allowed`."
)
# HEAD makes no socket, and ignores ranges.
NEVER_WITHOUT_BODY = (101, 206, 416)


def document(server: str = "/") -> Json:
    """`server`: the path that all addresses are below."""
    return _Document().whole() | {"servers": [{"url": server}]}


class _Document:
    def __init__(self) -> None:
        self._responses: dict[str, Json] = {}
        types = _types(OPERATIONS)
        found, self._schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
        self._by_type = dict(zip(map(repr, types), found, strict=True))

    def whole(self) -> Json:
        paths: dict[str, Json] = {}
        for operation in OPERATIONS:
            at = paths.setdefault(operation.address, _of_address(self, operation.address))
            at[operation.method.lower()] = self._operation(operation)
            if operation.method == "GET":
                at["head"] = self._head(operation)
        self._refusal(405, ["method-not-allowed"])
        return {
            "openapi": "3.1.0",
            "info": {"title": "gobi", "version": "1", "description": DESCRIPTION},
            "security": [{"basic": []}, {"session": []}],
            "paths": paths,
            "components": {
                "schemas": {name: _tidy(schema) for name, schema in self._schemas.items()},
                "responses": self._responses,
                "headers": {name: self._header(name) | {"required": True} for name in HEADERS},
                "securitySchemes": {
                    "basic": {"type": "http", "scheme": "basic"},
                    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
                    "metrics": {"type": "http", "scheme": "bearer", "description": "`GOBI_METRICS_TOKEN`"},
                },
            },
        }

    def schema(self, shape: Any) -> Json:  # noqa: ANN401  # a type
        schema: Json = _tidy(self._by_type[repr(shape)])
        return schema

    # -- one operation

    def _operation(self, operation: Operation) -> Json:
        made: Json = {"operationId": operation.id, "summary": operation.summary}
        if operation.door in ("write", "owner"):
            made["description"] = f"Needs the role `{operation.door}`. {operation.description}".strip()
        elif operation.description:
            made["description"] = operation.description
        if operation.parameters:
            made["parameters"] = [self.parameter(one) for one in operation.parameters]
        if operation.door == "open":
            made["security"] = [{}, {"metrics": []}] if operation.address == "/metrics" else []
        if operation.body is not None:
            body = operation.body
            made["requestBody"] = {"required": True, "content": {body.content_type: self._media(body.shapes)}}
            if body.description:
                made["requestBody"]["description"] = body.description
        responses = {str(status): self._reply(status, reply) for status, reply in operation.replies.items()}
        for status, codes in refusals(operation).items():
            refusal = self._refusal(status, codes)
            there = responses.get(str(status))
            if there is None:
                responses[str(status)] = refusal
            else:  # readiness, where the database is away
                there["content"] |= self._responses[refusal["$ref"].rpartition("/")[2]]["content"]
        made["responses"] = dict(sorted(responses.items()))
        return made

    def _head(self, operation: Operation) -> Json:
        """What GET answers, without bodies."""
        get = self._operation(operation)
        statuses = {
            status: reply.headers for status, reply in operation.replies.items() if status not in NEVER_WITHOUT_BODY
        }
        for status in refusals(operation):
            if status not in NEVER_WITHOUT_BODY:
                statuses.setdefault(status, REFUSAL_HEADERS.get(status, ()))
        get["operationId"] = "head" + operation.id[0].upper() + operation.id[1:]
        get["summary"] = f"{operation.summary}: the headers alone"
        get["responses"] = {
            str(status): self._reply(status, Reply(headers=headers)) for status, headers in sorted(statuses.items())
        }
        return get

    def parameter(self, one: Parameter) -> Json:
        made: Json = {"name": one.name, "in": one.place, "schema": self.schema(one.shape)}
        if one.required:
            made["required"] = True
        if one.description:
            made["description"] = one.description
        return made

    # -- answers

    def _reply(self, status: int, reply: Reply) -> Json:
        made: Json = {
            "description": reply.description or HTTPStatus(status).phrase,
            "headers": self._headers(reply.headers),
        }
        if reply.content_types:
            made["content"] = {kind: self._media(reply.shapes) for kind in reply.content_types}
        return made

    def _refusal(self, status: int, codes: list[str]) -> Json:
        """A reference to the response that is shared by all with these codes."""
        name = "_".join(codes)
        if name not in self._responses:
            schema: Json = self.schema(Problem) | {"properties": {"code": {"enum": codes}, "status": {"const": status}}}
            if len(codes) == 1 and codes[0] in CARRIES:
                schema["required"] = [CARRIES[codes[0]]]
            self._responses[name] = {
                "description": "; ".join(f"`{code}`: {MEANING[code]}" for code in codes),
                "headers": self._headers(REFUSAL_HEADERS.get(status, ())),
                "content": {"application/problem+json": {"schema": schema}},
            }
        return {"$ref": f"#/components/responses/{name}"}

    def _headers(self, names: Iterable[str]) -> Json:
        made: Json = {}
        for name in ("X-Request-ID", *names):
            always = name.removesuffix("?")
            made[always] = {"$ref": f"#/components/headers/{name}"} if name == always else self._header(always)
        return made

    def _header(self, name: str) -> Json:
        shape, text = HEADERS[name]
        return {"description": text, "schema": self.schema(shape)}

    def _media(self, shapes: Sequence[type]) -> Json:
        schemas = [self.schema(shape) for shape in shapes]
        if not schemas:
            return {}
        return {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}


def _of_address(made: _Document, address: str) -> Json:
    names = [part.partition("}")[0] for part in address.split("{")[1:]]
    parameters = [IN_ADDRESS.get(name) or Parameter("path", name, str, required=True) for name in names]
    parameters += [IN_ADDRESS["Gobi-Vault"]] if "vault" in names else []
    return {"parameters": [made.parameter(one) for one in parameters]} if names else {}


def _types(operations: Iterable[Operation]) -> list[Any]:
    """Every type that is named anywhere, once."""
    found: list[Any] = [Problem, *(shape for shape, _ in HEADERS.values())]
    for one in operations:
        found += [parameter.shape for parameter in one.parameters]
        found += one.body.shapes if one.body else ()
        for reply in one.replies.values():
            found += reply.shapes
    found += [parameter.shape for parameter in IN_ADDRESS.values()]
    return list({repr(shape): shape for shape in found}.values())


def _tidy(schema: Any) -> Any:  # noqa: ANN401  # JSON
    """The same in the words of JSON Schema: its regular expressions know no \\A, and integers here have 64 bits."""
    if isinstance(schema, list):
        return [_tidy(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _tidy(value) for key, value in schema.items()}
    if isinstance(made.get("pattern"), str):
        made["pattern"] = made["pattern"].replace(r"\A", "^").replace(r"\Z", "$")
    if made.get("type") == "integer":
        made["format"] = "int64"
    return made
