"""How long `gobi watch` waits for what."""

from __future__ import annotations

from typing import NamedTuple


class Intervals(NamedTuple):
    """Seconds.

    `rescan`: between looks at the whole folder, because events get lost; `blind`: where they do not come at all.
    `anchor`: between looks at whether the folder is still the one at its path. `poll`: between questions to the server
    while there is no live socket. `retry`, `longest`: before a server or a disk that failed is tried again, at first
    and at most; `hurry`: the same when somebody saves a file meanwhile. `again`: before what could not be done is tried
    again. `vanished`: for a file to be missing before that is a delete. `renamed`, `told`: for deletes that were told
    without new names to wait for these, after the last word and in all. `farewell`: for a sync to come to its end when
    the client is stopped.
    """

    rescan: float = 600.0
    blind: float = 30.0
    anchor: float = 5.0
    poll: float = 5.0
    retry: float = 1.0
    longest: float = 60.0
    hurry: float = 5.0
    again: float = 30.0
    vanished: float = 0.02
    renamed: float = 0.25
    told: float = 2.0
    farewell: float = 5.0
