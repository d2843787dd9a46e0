"""What a vault's log costs of its quota: its versions take room in the database, whatever they say."""

from __future__ import annotations

from store.base import Vault

# Those of most vaults cost nothing; and what is full for its bodies takes deletes and empty files.
FREE_VERSIONS = 10_000
# A version with its index entries, paths of usual length (docs/operating.md).
VERSION_BYTES = 512


def used(vault: Vault) -> int:
    """Bytes of the quota that are used: bodies, and what the log has beyond its free versions."""
    return vault.stored + max(0, vault.versions - FREE_VERSIONS) * VERSION_BYTES


def next_version(vault: Vault, further: int = 0) -> int:
    """What one more version costs, `further` versions after those that the vault has."""
    return VERSION_BYTES if vault.versions + further >= FREE_VERSIONS else 0
