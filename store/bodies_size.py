"""How much the bodies of a vault come to."""

from __future__ import annotations

import os

from store.bodies_aside import FORSAKEN


def counted_bytes(root: str, vault_id: str) -> int:
    """The bytes of those that the vault's count of stored bytes is to have: all but the forsaken ones."""
    total = 0
    try:
        folders = [one.path for one in os.scandir(os.path.join(root, vault_id)) if one.is_dir()]
    except FileNotFoundError:
        return 0
    for folder in folders:
        with os.scandir(folder) as entries:
            sizes = {one.name: one.stat().st_size for one in entries}
        total += sum(
            size for name, size in sizes.items() if not name.endswith(FORSAKEN) and name + FORSAKEN not in sizes
        )
    return total
