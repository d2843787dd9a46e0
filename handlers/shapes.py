"""Types of JSON fields that several requests share. msgspec checks them while it decodes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from handlers.problems import Problem
from sync.paths import BadPath, check_path

Stamp = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Mtime = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Size = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Hash = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


def check_each(field: str, paths: Iterable[str]) -> None:
    """Raises Problem for the first path that the protocol refuses, saying which it is."""
    for index, path in enumerate(paths):
        try:
            check_path(path)
        except BadPath as error:
            raise Problem("bad-path", f"{field}[{index}]: {error}") from None
