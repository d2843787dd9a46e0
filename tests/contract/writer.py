"""A process that writes versions into a vault: `python -m tests.contract.writer NAME VAULT_ID VERSIONS ADDRESS…`."""

from __future__ import annotations

import sys

from store.base import Metadata
from tests.contract.backends import open_at
from tests.contract.log import append


def write(metadata: Metadata, vault_id: str, name: str, count: int) -> None:
    """`count` versions of the writer's own paths, one to four in a transaction."""
    done = 0
    while done < count:
        some = min(count - done, done % 4 + 1)
        append(metadata, vault_id, *((f"{name}/{number}", "A") for number in range(done, done + some)))
        done += some


if __name__ == "__main__":
    writer, vault, versions, *address = sys.argv[1:]
    write(open_at(address), vault, writer, int(versions))
