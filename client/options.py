"""What a person, or whoever watches, says of one sync."""

from __future__ import annotations

from typing import NamedTuple


class Options(NamedTuple):
    """`propagate_deletes`: a person has said that what vanished here is to be deleted everywhere; nobody else may.
    `allow_mass_delete`: even where that is most. `meant`: stamps of versions that a person here has asked for, so that
    they are done however many there are. `busy`: files that somebody is in the middle of changing.
    `accept_mounts`: what is mounted in the folder is right as it is. `patient`: waits for a `.gobiignore` that was
    changed a moment ago to be whole.
    """

    propagate_deletes: bool = False
    allow_mass_delete: bool = False
    meant: frozenset[int] = frozenset()
    busy: frozenset[str] = frozenset()
    accept_mounts: bool = False
    patient: bool = False


NOTHING_SAID = Options()
