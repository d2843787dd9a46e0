"""JSON that is refused for the memory that it would take."""

from __future__ import annotations

import json

import pytest

from sync.dense import MOST_VALUES, complaint


@pytest.mark.parametrize("piece", ["[],", "{},", "0,", '"a",', '{"a":0},', '"\\\\",', '"\\"",'])
def test_millions_of_values_are_too_dense(piece: str) -> None:
    assert complaint(b"[" + piece.encode() * (MOST_VALUES + 1) + b"0]") == "too dense"


@pytest.mark.parametrize("name", ["[" * 1_000, "a,b" * 300, '\\"[,' * 200, "\\" * 999])
def test_names_full_of_brackets_and_quotes_are_not(name: str) -> None:
    changes = [{"path": f"{name}{n}", "kind": "put", "base": n, "hash": "0" * 64, "size": 1} for n in range(3_000)]
    text = json.dumps({"changes": changes}).encode()
    assert len(text) > MOST_VALUES
    assert complaint(text) is None


def test_the_most_that_a_request_may_hold_is_not() -> None:
    hashes = ["0" * 64] * 230_000
    assert (
        complaint(json.dumps({"cursor": "0", "changes": [{"path": "a", "kind": "put", "sent": hashes}]}).encode())
        is None
    )
    change = {"path": "a", "kind": "put", "base": 1, "hash": "0" * 64, "size": 1, "mtime": 1, "executable": True}
    assert complaint(json.dumps({"changes": [change] * 10_000}).encode()) is None


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"changes":[{"path":'])
def test_what_is_nested_is_told_so(opening: str) -> None:
    """Wherever it stands."""
    for before in ("", "[" + "0," * MOST_VALUES):
        assert complaint(before.encode() + opening.encode() * (MOST_VALUES + 1)) == "nested too deeply"
