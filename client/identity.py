"""Which folder a binding belongs to, where a folder was moved, or copied with all that is in it.

The password file names its folder. One that was moved takes its binding along. A copy, beside a folder that goes on
being used, becomes a binding of its own, with a password file of its own: letting go of one takes nothing from the
other.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from client import config as configuration
from client.config import Config
from client.ports import Stopped


def original(folder: Path, config: Config) -> Path | None:
    """The folder that `folder` is a copy of: another one, on this machine, that uses the same password file."""
    named = configuration.folder_of(config)
    if named is None or named == folder or _is_same(named, folder):
        return None
    return named if _uses(named, config.id) else None


def settled(folder: Path, config: Config) -> tuple[Config, Path | None]:
    """The folder's configuration, its own from now on, and what it was a copy of. Where nothing can be written, it is
    asked again the next time.
    """
    named = configuration.folder_of(config)
    if named is None or named == folder:
        return config, None
    copied = original(folder, config)
    own = config if copied is None else config._replace(id=configuration.new_id())
    try:
        configuration.take_over(folder, config, own)
    except (OSError, Stopped):
        return config, None
    return own, copied


def _is_same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _uses(folder: Path, config_id: str) -> bool:
    try:
        row = json.loads((configuration.state_folder(folder) / "config.json").read_bytes())
    except (OSError, ValueError):
        return False  # it is gone, or was moved to where this one is now
    return isinstance(row, dict) and row.get("id") == config_id
