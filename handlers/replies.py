"""Answers in JSON."""

from __future__ import annotations

from typing import Any

import falcon
import msgspec

from store.base import Vault
from store.commit import Outcome
from sync.model import Cursor, Json


def send(resp: falcon.Response, value: Any, status: str = falcon.HTTP_200) -> None:  # noqa: ANN401  # any JSON
    send_encoded(resp, encode(value), status)


def encode(value: Any) -> bytes:  # noqa: ANN401  # any JSON
    return msgspec.json.encode(value)


def send_encoded(resp: falcon.Response, text: bytes, status: str = falcon.HTTP_200) -> None:
    resp.status = status
    resp.content_type = "application/json"
    resp.data = text


def cursor(vault: Vault, stamp: int | None) -> str | None:
    """The wire form of a place in the vault's log."""
    return None if stamp is None else str(Cursor(vault.epoch, stamp))


def send_version(resp: falcon.Response, vault: Vault, outcome: Outcome, status: str = falcon.HTTP_200) -> None:
    """A version that was stored, or is there already, with the cursors right before and right after it."""
    assert outcome.version is not None, "only a conflict comes without a version"
    row: Json = outcome.version.to_json()
    row["after"] = cursor(vault, outcome.after)
    row["cursor"] = cursor(vault, outcome.cursor)
    send(resp, row, status)
    resp.set_header("ETag", f'"{outcome.version.stamp}"')
