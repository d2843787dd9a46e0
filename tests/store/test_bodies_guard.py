"""Who may remove bodies: nobody while a backup reads them, and one at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from store.bodies_guard import needing, removing
from store.errors import Unavailable


def test_many_backups_may_need_the_bodies_at_once(tmp_path: Path) -> None:
    with needing(str(tmp_path)), needing(str(tmp_path)):
        pass
    with removing(str(tmp_path)):
        pass


def test_nothing_is_removed_while_a_backup_runs(tmp_path: Path) -> None:
    with needing(str(tmp_path)), pytest.raises(Unavailable, match="try again"), removing(str(tmp_path)):
        pytest.fail("it removed what a backup needs")


def test_two_never_remove_at_once(tmp_path: Path) -> None:
    with removing(str(tmp_path)), pytest.raises(Unavailable), removing(str(tmp_path)):
        pytest.fail("both removed")


def test_a_backup_that_was_killed_blocks_nobody(tmp_path: Path) -> None:
    program = (
        "import sys, time; from store.bodies_guard import needing\n"
        "with needing(sys.argv[1]): print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as backup:
        assert backup.stdout is not None
        assert backup.stdout.readline() == b"held\n"
        with pytest.raises(Unavailable), removing(str(tmp_path)):
            pass
        os.kill(backup.pid, signal.SIGKILL)
        backup.wait()
    with removing(str(tmp_path)):
        pass
