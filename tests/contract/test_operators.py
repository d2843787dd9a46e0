"""Names that a database has a meaning for are names all the same."""

from __future__ import annotations

import pytest

from store.base import Metadata, Vault
from store.errors import NotFound

NAMES = ["$gt", "$where", "$ne", "a.b", ".", "$", "me' OR '1'='1", 'me"; DROP TABLE users; --', "%", "_", "*"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_looks_like_a_question_is_a_name(metadata: Metadata, vault: Vault, name: str) -> None:
    before = (metadata.users(), metadata.vaults())
    assert metadata.user(name) is None
    assert metadata.vault(name) is None
    assert metadata.vaults(member=name) == []
    assert metadata.heads(vault.id, [name]) == {}
    assert metadata.conflict(vault.id, name) is None
    for refusing in (
        lambda: metadata.set_password(name, "$hash$"),
        lambda: metadata.remove_user(name),
        lambda: metadata.set_member(vault.id, name, "owner"),
        lambda: metadata.remove_device("me", name),
        lambda: metadata.remove_session("me", name),
        lambda: metadata.redeem(name, "laptop", "l" * 64),
    ):
        with pytest.raises(NotFound):
            refusing()
    assert (metadata.users(), metadata.vaults()) == before
