"""Putting a staged file in its place and taking one out of the folder, so that nothing is ever replaced unseen."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from client import moves
from client.below import remove_empty_tree
from client.folders import Folders, holds
from client.ports import Blocked, Clock, Entry, LocalChange
from client.replaced import Replaced
from client.staging import Staging
from client.trash import Trash
from client.trouble import name_not_held


class Place:
    """Where files of one file system wait: `.gobi`, or a `.gobi-staging` (client/places.py). `base` is that, open.

    `apart`: it is on another file system than the trash. Methods raise OSError, LocalChange, Blocked.
    """

    def __init__(self, base: int, trash: Trash, clock: Clock, *, apart: bool) -> None:
        self.base = base
        self.staging = Staging(base)
        self.replaced = Replaced(base, trash, clock, apart=apart)

    @property
    def folders(self) -> tuple[Folders, Folders]:
        return self.staging.folders, self.replaced.folders

    @contextmanager
    def holding(self, staging: Staging, handle: str) -> Iterator[str]:
        """The name here of a file that was staged, perhaps elsewhere: then it is a copy, which does not stay."""
        if staging is self.staging:
            yield handle
            return
        copy = self.staging.adopt(staging.folder, handle)
        try:
            yield copy
        finally:
            self.staging.remove(copy)
        staging.remove(handle)

    def put_new(self, handle: str, folder: int, name: str) -> None:
        try:
            moves.move_new(self.staging.folder, handle, folder, name)
        except FileExistsError:
            mode = os.lstat(name, dir_fd=folder).st_mode
            if not holds(folder, name):
                raise name_not_held(name) from None
            if stat.S_ISREG(mode):
                raise LocalChange(f"{name!r} has appeared") from None
            if not stat.S_ISDIR(mode):
                raise Blocked("something that is not a regular file is in the way") from None
            if not remove_empty_tree(name, folder):
                raise Blocked("a folder is in the way") from None
            moves.move_new(self.staging.folder, handle, folder, name)
        if name[-1] in ". " and not holds(folder, name):
            os.unlink(name, dir_fd=folder)  # some disks drop a last dot or blank without a word
            raise name_not_held(name)

    def put_over(self, handle: str, place: tuple[int, str], expected: Entry, trash: bool) -> None:
        """Lets the staged file and the one at `place` change places, or does the same in two steps."""
        replaced, staged = self.replaced, self.staging
        ours = staged.entry(handle, expected.path)
        aside = replaced.reserve(expected, trash)
        moves.move_new(staged.folder, handle, replaced.folder, aside)  # first: the name may become a person's file's
        try:
            exchanged = moves.try_exchange(replaced.folder, aside, *place)
        except OSError:
            self._stage_again(aside, handle)
            raise
        if not exchanged:
            self._stage_again(aside, handle)
            self._put_in_two_steps(handle, place, expected, trash)
        elif replaced.is_expected(aside):
            replaced.dismiss(aside)
        else:
            self._exchange_back(aside, place, ours)
            raise LocalChange(f"{expected.path!r} has changed")

    def _put_in_two_steps(self, handle: str, place: tuple[int, str], expected: Entry, trash: bool) -> None:
        """Where the file system cannot exchange names. For a moment there is no file."""
        aside = self.take_aside(*place, expected, trash)
        try:
            self.put_new(handle, *place)
        except (OSError, LocalChange, Blocked):
            self._put_back(aside, *place)
            raise
        self.replaced.dismiss(aside)

    def _stage_again(self, aside: str, handle: str) -> None:
        """Nothing was exchanged."""
        moves.move_new(self.replaced.folder, aside, self.staging.folder, handle)
        self.replaced.forget(aside)

    def _exchange_back(self, aside: str, place: tuple[int, str], ours: Entry) -> None:
        """The file was saved anew in the very last moment."""
        replaced = self.replaced
        with suppress(FileNotFoundError):  # and is gone by now
            moves.try_exchange(replaced.folder, aside, *place)
        if replaced.is_same(aside, ours):
            replaced.remove(aside)
        else:
            replaced.keep(aside)

    def take_aside(self, folder: int, name: str, expected: Entry, trash: bool) -> str:
        """Takes the file out of the folder. Raises LocalChange where it is not what was expected; then it is back."""
        aside = self.replaced.reserve(expected, trash)
        try:
            self.replaced.take(folder, name, aside)
        except OSError:
            self.replaced.forget(aside)
            raise
        if not self.replaced.is_expected(aside):
            self._put_back(aside, folder, name)
            raise LocalChange(f"{expected.path!r} has changed")
        return aside

    def _put_back(self, aside: str, folder: int, name: str) -> None:
        """What was taken aside goes to its place again, or to the trash where that is taken."""
        try:
            moves.move_new(self.replaced.folder, aside, folder, name)
            self.replaced.forget(aside)
        except FileExistsError:
            self.replaced.keep(aside)
