"""A database file whose pages a disk has lost or changed."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from store.errors import Unusable
from store.sqlite import SqliteMetadata
from tests.contract.log import append
from tests.store.damage import cut_in_half, spoil_index, spoil_pages

FILES = 400


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database of one user and one vault, "notes", closed."""
    path = tmp_path / "gobi.db"
    with closing(SqliteMetadata(path)) as metadata:
        metadata.add_user("me", "x")
        append(metadata, metadata.create_vault("notes", "me").id, *((f"note {n}", "x") for n in range(FILES)))
    return path


def vault_id(metadata: SqliteMetadata) -> str:
    vault = metadata.vault("notes")
    assert vault is not None
    return vault.id


def test_damage_that_is_met_stops_every_write_and_what_can_be_read_is_read(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spoil_index(file)
    with closing(SqliteMetadata(file)) as metadata:
        vault = vault_id(metadata)
        metadata.create_vault("before", "me")  # nothing says yet that it should not
        with pytest.raises(Unusable, match=r"docs/troubleshooting\.md"):
            metadata.heads(vault, ["note 1"])
        for write in (
            lambda: metadata.create_vault("after", "me"),
            lambda: metadata.set_password("me", "y"),
            lambda: metadata.moving().clear(),
            lambda: append(metadata, vault, ("another", "x")),
        ):
            with pytest.raises(Unusable, match="restore-backup"):
                write()
        assert len(metadata.changes(vault, 0, 1000)) == FILES
        assert [one.name for one in metadata.vaults()] == ["before", "notes"]
        with pytest.raises(Unusable):
            metadata.ping()
    assert [one.levelno for one in caplog.records] == [logging.ERROR], "it is said once"


def test_a_file_that_turns_into_no_database_stops_every_write(file: Path) -> None:
    with closing(SqliteMetadata(file, prepare=False)) as metadata:
        metadata.close()  # the next call opens it anew
        file.write_bytes(os.urandom(8192))
        with pytest.raises(Unusable):
            metadata.users()
        with pytest.raises(Unusable):
            metadata.add_user("you", "x")


@pytest.mark.parametrize("spoil", [spoil_index, spoil_pages, cut_in_half])
def test_whoever_looks_for_damage_finds_it(file: Path, spoil: Callable[[Path], None]) -> None:
    with closing(SqliteMetadata(file)) as metadata:
        assert metadata.check_sound(None)
    spoil(file)
    with pytest.raises(Unusable, match="restore-backup"), closing(SqliteMetadata(file)) as metadata:
        metadata.check_sound(None)


def test_half_a_file_beside_the_log_of_a_server_that_was_killed_is_found(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("UPDATE vaults SET name = 'books'")
        log = file.with_name("gobi.db-wal").read_bytes()
    cut_in_half(file)
    file.with_name("gobi.db-wal").write_bytes(log)
    with pytest.raises(Unusable), closing(SqliteMetadata(file)) as metadata:
        metadata.check_sound(None)


def test_looking_ends_when_its_time_is_over_and_takes_nothing_for_damage_that_it_did_not_read(file: Path) -> None:
    spoil_pages(file)
    with closing(SqliteMetadata(file)) as metadata:
        assert not metadata.check_sound(0)
