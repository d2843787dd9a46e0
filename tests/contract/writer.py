"""A process with threads that write versions into a vault.

`python -m tests.contract.writer NAME,… VAULT_ID VERSIONS ADDRESS…`: one thread a name, with so many versions each.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

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
    writers, vault, versions, *address = sys.argv[1:]
    with ThreadPoolExecutor() as pool:
        client = open_at(address)
        done = [pool.submit(write, client, vault, name, int(versions)) for name in writers.split(",")]
    for one in done:
        one.result()
    client.close()
