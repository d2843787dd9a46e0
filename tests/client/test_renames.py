"""What is taken for a rename, and what is left to come back."""

from __future__ import annotations

from client.index import Record
from client.renames import recognise

X, Y = "aa" * 32, "bb" * 32


def missing(path: str, digest: str, inode: int) -> Record:
    return Record(path, 1, digest, 5, 0, 0, inode, 0)


def test_one_missing_file_and_one_new_file_with_its_content_are_a_rename() -> None:
    assert recognise([missing("old", X, 1)], {"new": (X, 9), "other": (Y, 8)}) == {"old": "new"}


def test_without_the_content_there_is_no_rename() -> None:
    assert recognise([missing("old", X, 1)], {"new": (Y, 1)}) == {}


def test_of_many_files_with_one_content_the_inode_tells_which_is_which() -> None:
    gone = [missing("a", X, 1), missing("b", X, 2)]
    assert recognise(gone, {"new-b": (X, 2), "new-a": (X, 1)}) == {"a": "new-a", "b": "new-b"}


def test_the_single_pair_that_is_left_is_a_rename() -> None:
    gone = [missing("a", X, 1), missing("b", X, 2)]
    assert recognise(gone, {"new-a": (X, 1), "copied": (X, 7)}) == {"a": "new-a", "b": "copied"}


def test_what_could_be_several_renames_is_none() -> None:
    assert recognise([missing("old", X, 1)], {"new": (X, 7), "copy": (X, 8)}) == {}
    assert recognise([missing("a", X, 1), missing("b", X, 2)], {"new": (X, 7)}) == {}


def test_hard_links_tell_nothing() -> None:
    assert recognise([missing("old", X, 1)], {"new": (X, 1), "link": (X, 1)}) == {}
