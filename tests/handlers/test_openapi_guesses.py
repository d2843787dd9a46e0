"""Whatever a stranger makes up from /openapi.json gets an answer that the document declares, and never a fault."""

from __future__ import annotations

import json
from base64 import b64encode
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from handlers.openapi.document import document
from handlers.openapi.operations import OPERATIONS
from sync.bundle import END, header, padding
from tests.handlers.site import PASSWORD, Site, sha256

BASIC = {"Authorization": "Basic " + b64encode(f"me:{PASSWORD}".encode()).decode()}
PATHS = ("a.md", "notes/b.md", "gone.md", "notes", "new.md")
WORDS = st.one_of(st.none(), st.booleans(), st.integers(-(1 << 70), 1 << 70), st.text(max_size=5))


class Place:
    """A vault in which there is something of everything, and what a caller could know of it."""

    def __init__(self, folder: Path) -> None:
        self.site = Site(folder)
        me = self.site.me
        old = me.put("a.md", b"one\n").json
        head = me.put("a.md", b"two\n", old["stamp"]).json
        me.put("notes/b.md", b"b" * 100)
        gone = me.put("gone.md", b"gone").json
        me.delete("gone.md", gone["stamp"])
        kept = me.put("a.md", b"three\n", old["stamp"], "?on_conflict=keep").json
        stamps = st.sampled_from([0, old["stamp"], head["stamp"], gone["stamp"], head["stamp"] + 1])
        cursors = st.sampled_from(["0", old["cursor"], gone["cursor"]])
        self.known: dict[str, st.SearchStrategy[Any]] = {
            "vault": st.just("notes"),
            "path": st.sampled_from(PATHS),
            "user": st.sampled_from(["me", "you"]),
            "id": st.just(kept["conflict"]["id"]),
            "hash": st.sampled_from([sha256(b"one\n"), sha256(b"two\n")]),
            "cursor": cursors,
            "until": cursors,
            **dict.fromkeys(("stamp", "head", "since", "base", "before"), stamps),
            "If-Match": stamps.map('"{}"'.format),
        }

    def whole(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        """The application, with every answer taken whole and closed, as a server does."""
        with closing(self.site.application(environ, start_response)) as pieces:  # type: ignore[type-var]
            return list(pieces)

    def known_instead(self, draw: Any, part: Any) -> Any:
        """Here and there what is known instead of what was made up."""
        if isinstance(part, list):
            return [self.known_instead(draw, one) for one in part]
        if not isinstance(part, dict):
            return part
        made = {name: self.known_instead(draw, value) for name, value in part.items()}
        for name in sorted(made.keys() & self.known.keys()):
            if draw(st.integers(0, 9)) < 8:
                made[name] = draw(self.known[name])
        return made


@st.composite
def bundles(draw: Any) -> bytes:
    """Tar archives of which much is right."""
    changes = []
    archive = b""
    for path in draw(st.lists(st.sampled_from([*PATHS, "../up", "é"]), max_size=4)):
        body = draw(st.binary(max_size=20))
        kind = draw(st.sampled_from(["put", "put", "delete", "missing"]))
        change = {"path": path, "kind": kind, "base": None, "hash": sha256(body), "size": len(body), "mtime": 5}
        if draw(st.booleans()):
            change |= draw(st.dictionaries(st.sampled_from(sorted(change)), WORDS, max_size=2))
        changes.append(change)
        if draw(st.booleans()):
            archive += header(path, len(body), 0) + body + padding(len(body))
    manifest = json.dumps({"changes": changes}).encode()
    return header("manifest.json", len(manifest), 0) + manifest + padding(len(manifest)) + archive + END


@cache
def operations() -> Any:
    """What schemathesis makes of the document."""
    import schemathesis

    schemathesis.openapi.media_type("application/octet-stream", st.binary(max_size=50))
    schemathesis.openapi.media_type("application/x-tar", st.one_of(bundles(), bundles(), st.binary(max_size=600)))
    return schemathesis.openapi.from_dict(document())


def use(folder: Path, id: str, guesses: int) -> None:
    from schemathesis import GenerationMode, checks
    from schemathesis.specs.openapi import checks as openapi

    checked = [
        checks.not_a_server_error,
        openapi.status_code_conformance,
        openapi.content_type_conformance,
        openapi.response_headers_conformance,
        openapi.response_schema_conformance,
    ]
    place = Place(folder)
    operation = operations().find_operation_by_id(id)
    strategy = st.one_of(
        operation.as_strategy(),
        operation.as_strategy(),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )

    @settings(
        max_examples=guesses,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def one(data: st.DataObject) -> None:
        case = data.draw(strategy)
        for part in ("path_parameters", "query", "headers", "body"):
            setattr(case, part, place.known_instead(data.draw, getattr(case, part)))
        answer = case.call(app=place.whole, headers=BASIC)
        case.validate_response(answer, checks=checked)

    one()
    place.site.metadata.close()


# Elsewhere there is next to nothing to make up.
@pytest.mark.parametrize("id", [one.id for one in OPERATIONS if "{vault}" in one.address])
def test_made_up_requests_are_answered_as_declared(tmp_path: Path, id: str) -> None:
    use(tmp_path, id, 5)


@pytest.mark.soak
@pytest.mark.parametrize("id", [one.id for one in OPERATIONS])
def test_very_many_made_up_requests_are_answered_as_declared(tmp_path: Path, id: str) -> None:
    use(tmp_path, id, 500)
